import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';

import { anchors, localLinks, pages } from './markdown.ts';

const all = pages();

test('there are pages to look at', () => {
  assert.ok(all.size > 10);
});

for (const [file, text] of all) {
  test(`links of ${file} lead somewhere`, () => {
    for (const link of localLinks(text)) {
      const [path, anchor] = link.split('#') as [string, string | undefined];
      const target = path === '' ? file : normalize(join(dirname(file), path));
      assert.ok(existsSync(join(import.meta.dirname, '../..', target)), `${link}: there is no ${target}`);
      const page = all.get(target);
      if (anchor !== undefined && page !== undefined)
        assert.ok(anchors(page).has(anchor), `${link}: ${target} has no heading of that name`);
    }
  });
}
