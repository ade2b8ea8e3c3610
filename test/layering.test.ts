import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';

/** Folders whose code is functions of its arguments: no timers, sockets, files, clients, clock or randomness of their own. */
const PURE = [
  'relay/protocol',
  'relay/lease',
  'relay/session',
  'relay/pipeline',
  'operator/api',
  'operator/plan',
  'operator/specs',
];
const IMPURE_MODULES =
  /^(node:(fs|net|dgram|http|https|http2|tls|dns|child_process|worker_threads|timers|os|process|perf_hooks|cluster|inspector|readline|repl)(\/.*)?|koffi|express|winston|prom-client|undici|@kubernetes\/client-node)$/;
const IMPURE_GLOBALS =
  /\b(Date\.now|new Date\(\)|performance\.(now|timeOrigin)|Math\.random|setTimeout|setInterval|setImmediate|queueMicrotask|fetch|process\.\w+|console\.\w+)\b/;

const files = globSync('{relay,operator,local,bench,test}/**/*.ts');

test('the layering test sees the sources', () => {
  assert.ok(files.length > 10, `only ${files.length} files found`);
});

for (const file of files) {
  const source = readFileSync(file, 'utf8');
  const targets = references(source);

  if (file.startsWith('relay/') || file.startsWith('operator/')) {
    test(`${file} stays inside its image`, () => {
      const home = file.split('/')[0]!;
      for (const target of targets.filter((target) => target.startsWith('.'))) {
        const path = normalize(join(dirname(file), target));
        assert.ok(path.startsWith(`${home}/`), `${file} refers to ${path}, outside ${home}/`);
      }
    });
  }

  const pure = PURE.find((folder) => file.startsWith(`${folder}/`));
  if (pure) {
    test(`${file} is pure`, () => {
      for (const target of targets) {
        const typeOnly = new RegExp(`import type [^;]*from '${escape(target)}'`).test(source);
        assert.ok(typeOnly || !IMPURE_MODULES.test(target), `${file} imports ${target}: ${pure}/ is pure`);
        if (target.startsWith('.')) {
          const path = normalize(join(dirname(file), target));
          assert.ok(
            PURE.some((folder) => path.startsWith(`${folder}/`)) || typeOnly,
            `${file} imports ${path}, which is not pure`,
          );
        }
      }
      const code = source.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
      assert.doesNotMatch(code, IMPURE_GLOBALS, `${file}: time, randomness and I/O come in as arguments`);
    });
  }
}

/** Every module named in an import, a dynamic import or a `new URL(…, import.meta.url)`. */
function references(source: string): string[] {
  const patterns = [
    /\bfrom\s+'([^']+)'/g,
    /\bimport\s+'([^']+)'/g,
    /\bimport\(\s*'([^']+)'\s*\)/g,
    /new URL\(\s*'([^']+)'\s*,\s*import\.meta\.url/g,
  ];
  return patterns.flatMap((pattern) => [...source.matchAll(pattern)].map((match) => match[1]!));
}

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/]/g, String.raw`\$&`);
}
