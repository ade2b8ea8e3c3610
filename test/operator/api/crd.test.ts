import assert from 'node:assert/strict';
import { readFileSync, globSync } from 'node:fs';
import { test } from 'node:test';

import { parse } from 'yaml';

import { generatedFiles } from '../../../crds/generate.ts';
import { customResourceDefinition } from '../../../operator/api/crd.ts';
import { SIZE_PROFILES, SIZES } from '../../../operator/api/size.ts';
import { spec } from '../../../operator/api/spec.ts';

interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly properties?: Record<string, Schema>;
  readonly items?: Schema;
  readonly additionalProperties?: unknown;
}

test('the CRD in the tree is the one that the types make', () => {
  for (const [file, text] of generatedFiles())
    assert.equal(readFileSync(file, 'utf8'), text, `${file}: run "npm run generate"`);
});

test('every field has a description: it is what "kubectl explain" prints', () => {
  const crd = customResourceDefinition() as { spec: { versions: { schema: { openAPIV3Schema: Schema } }[] } };
  const missing: string[] = [];
  const walk = (schema: Schema, path: string): void => {
    for (const [name, field] of Object.entries(schema.properties ?? {})) {
      if (!field.description && path !== '.metadata' && `${path}.${name}` !== '.metadata')
        missing.push(`${path}.${name}`);
      walk(field, `${path}.${name}`);
    }
    if (schema.items) walk(schema.items, `${path}[]`);
  };
  walk(crd.spec.versions[0]!.schema.openAPIV3Schema, '');
  assert.deepEqual(missing, []);
});

test('no field is judged by a pattern: the API server would answer with the expression alone', () => {
  assert.doesNotMatch(JSON.stringify(customResourceDefinition()), /"pattern":/);
  assert.match(JSON.stringify(customResourceDefinition({ patterns: true })), /"pattern":/);
});

test('the examples are what the types accept', () => {
  const files = globSync('crds/examples/*.yaml');
  assert.ok(files.length >= 4);
  for (const file of files) {
    const object = parse(readFileSync(file, 'utf8')) as { spec: unknown };
    spec.parse(object.spec);
  }
});

test('sizes are those of the operations guide', () => {
  assert.deepEqual(
    SIZES.map((size) => [
      size,
      SIZE_PROFILES[size].cpu,
      SIZE_PROFILES[size].maxSessions,
      SIZE_PROFILES[size].maxThroughputMbps,
    ]),
    [
      ['Small', '1', 50, 500],
      ['Medium', '2', 100, 2000],
      ['Large', '4', 250, 5000],
      ['XLarge', '8', 500, 10_000],
    ],
  );
});
