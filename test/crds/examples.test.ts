import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const FOLDER = join(import.meta.dirname, '../../crds/examples');

/** What kubectl lines in the comments of an example make: `Secret/key` and labels of nodes. */
function made(text: string): Set<string> {
  const secrets = [...text.matchAll(/^#\s+kubectl create secret generic (\S+) (.*)$/gm)].flatMap((line) =>
    [...line[2]!.matchAll(/--from-literal=([^=\s]+)=/g)].map((key) => `${line[1]}/${key[1]}`),
  );
  const labels = [...text.matchAll(/^#\s+kubectl label node NODE (\S+)=$/gm)].map((line) => line[1]!);
  return new Set([...secrets, ...labels]);
}

for (const file of globSync('*.yaml', { cwd: FOLDER })) {
  test(`${file} says how what it refers to is made`, () => {
    const text = readFileSync(join(FOLDER, file), 'utf8');
    assert.match(text, /^# Needs first: /m);
    const named = new Set([
      ...[...text.matchAll(/secretKeyRef: \{ name: (\S+), key: (\S+) \}/g)].map(
        (reference) => `${reference[1]}/${reference[2]}`,
      ),
      ...[...text.matchAll(/^ +nodeSelector:\n +(\S+): ''$/gm)].map((label) => label[1]!),
    ]);
    assert.deepEqual(made(text), named);
  });
}
