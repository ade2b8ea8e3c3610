import { type Field, fieldsOf, objectBelow, type Schema, schemaOf } from './fields.ts';

/** docs/reference.md: every field of a WavryRelay, from the CRD. */
export function reference(crd: Readonly<Record<string, unknown>>): string {
  return [
    '<!-- Made by "npm run generate" from operator/api; don\'t edit. -->',
    '',
    '# WavryRelay reference',
    '',
    '`apiVersion: wavry.dev/v1alpha1`, `kind: WavryRelay`, namespaced; short name `wr`, category `wavry`; subresources `status` and',
    '`scale`. `kubectl explain wavryrelay.spec` says the same about a field, and the API server refuses what is said here to be',
    'refused. [Examples](../crds/examples) show whole resources.',
    '',
    ...nameRules(crd),
    ...section('spec', schemaOf(crd, 'spec')),
    ...section('status', schemaOf(crd, 'status')),
  ].join('\n');
}

function nameRules(crd: Readonly<Record<string, unknown>>): string[] {
  const { versions } = crd['spec'] as { versions: { schema: { openAPIV3Schema: Schema } }[] };
  const whole = versions[0]!.schema.openAPIV3Schema;
  const most = whole.properties?.['metadata']?.properties?.['name']?.maxLength;
  const rules = (whole['x-kubernetes-validations'] ?? []).flatMap((rule) => rule.message ?? []);
  return [`Its name has at most ${most} characters; ${rules.join('; ')}.`, ''];
}

/** A heading and a table for an object, then the same for each object below it. */
function section(path: string, schema: Schema): string[] {
  const fields = fieldsOf(schema);
  const rules = (schema['x-kubernetes-validations'] ?? []).flatMap((rule) => rule.message ?? []);
  return [
    `## ${path}`,
    '',
    ...(schema.description === undefined ? [] : [schema.description, '']),
    '| field | type | default | meaning |',
    '|---|---|---|---|',
    ...fields.map((field) => row(path, field)),
    '',
    ...(rules.length === 0
      ? []
      : ['Refused otherwise:', '', ...rules.map((rule) => `- ${markdown(rule)}`), '']),
    ...fields.flatMap((field) => {
      const below = objectBelow(field.schema);
      return below ? section(`${path}.${field.name}${field.schema.type === 'array' ? '[]' : ''}`, below) : [];
    }),
  ];
}

function row(path: string, field: Field): string {
  const below = objectBelow(field.schema);
  const target = `${path}.${field.name}${field.schema.type === 'array' ? '[]' : ''}`;
  const name = below ? `[\`${field.name}\`](#${anchor(target)})` : `\`${field.name}\``;
  const value = field.required
    ? '**required**'
    : field.defaultText === undefined
      ? ''
      : `\`${field.defaultText}\``;
  const bounds = field.bounds.map((bound) => `<br>– ${markdown(bound)}`).join('');
  return `| ${name} | ${field.type} | ${value} | ${markdown(field.description)}${below ? '' : bounds} |`;
}

/** GitHub's anchors: lower case, without anything but letters, digits, hyphens and spaces. */
export function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^a-z0-9 -]/g, '')
    .replaceAll(' ', '-');
}

/** Inside a table's cell. */
export function markdown(text: string): string {
  return text
    .replace(/matches (\^.*\$)$/, 'matches `$1`')
    .replaceAll('|', String.raw`\|`)
    .replaceAll('<=', '≤');
}
