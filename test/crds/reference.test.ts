import assert from 'node:assert/strict';
import { test } from 'node:test';

import { anchor, reference } from '../../crds/reference.ts';
import { boundsText, fieldsOf } from '../../crds/fields.ts';
import { customResourceDefinition } from '../../operator/api/crd.ts';

const crd = customResourceDefinition();
const text = reference(crd);

/** Every schema in the CRD, wherever it stands: found in another way than the reference finds its fields. */
function everySchema(value: unknown, found: Record<string, unknown>[] = []): Record<string, unknown>[] {
  if (typeof value !== 'object' || value === null) return found;
  if (!Array.isArray(value) && 'properties' in value) found.push({ ...value });
  for (const below of Object.values(value)) everySchema(below, found);
  return found;
}

test('every field, description, default, bound and rule of the CRD stands in the reference', () => {
  const { versions } = crd['spec'] as {
    versions: { schema: { openAPIV3Schema: Record<string, unknown> } }[];
  };
  const whole = versions[0]!.schema.openAPIV3Schema as { properties: Record<string, unknown> };
  const plain = text.replaceAll(String.raw`\|`, '|').replaceAll('≤', '<=');
  let fields = 0;
  for (const schema of everySchema([whole.properties['spec'], whole.properties['status']])) {
    for (const [name, field] of Object.entries(
      schema['properties'] as Record<string, Record<string, unknown>>,
    )) {
      fields += 1;
      assert.match(plain, new RegExp(String.raw`^\| \[?\`${name}\``, 'm'));
      assert.equal(typeof field['description'], 'string', `${name} is described`);
      assert.ok(plain.includes(field['description'] as string), `the description of ${name}`);
      if (field['default'] !== undefined && typeof field['default'] !== 'object') {
        assert.ok(plain.includes(`\`${plainText(field['default'])}\``), `the default of ${name}`);
      }
      for (const limit of ['minimum', 'maximum', 'maxItems']) {
        if (field[limit] !== undefined)
          assert.ok(plain.includes(plainText(field[limit])), `${limit} of ${name}`);
      }
    }
    for (const rule of (schema['x-kubernetes-validations'] ?? []) as { message: string }[]) {
      assert.ok(plain.includes(rule.message), rule.message);
    }
  }
  assert.ok(fields > 90, `only ${fields} fields were looked at`);
});

function plainText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

test('its links lead to headings, and no heading stands twice', () => {
  const anchors = [...text.matchAll(/^## (.*)$/gm)].map((match) => anchor(match[1]!));
  assert.equal(new Set(anchors).size, anchors.length);
  for (const [, target] of text.matchAll(/\]\(#([^)]*)\)/g))
    assert.ok(anchors.includes(target ?? ''), `#${target}`);
});

test('bounds are put in words', () => {
  const [field] = fieldsOf({
    properties: {
      a: {
        type: 'array',
        minItems: 1,
        items: { type: 'string', maxLength: 9, pattern: '^a|b$' },
        maxItems: 3,
      },
    },
  });
  assert.deepEqual(
    [field?.type, field?.bounds],
    ['list of string', ['1 to 3 items', 'at most 9 characters each']],
  );
  assert.equal(boundsText(1, undefined, ''), 'at least 1');
  assert.equal(boundsText(undefined, undefined, 'items'), undefined);
});
