import { type Field, fieldsOf, objectBelow, type Schema, schemaOf } from './fields.ts';
import { markdown } from './reference.ts';

type Crd = Readonly<Record<string, unknown>>;

/** Values of the chart wavry-relay that are no fields of the spec. */
const OWN: Readonly<Record<string, { readonly schema: Schema; readonly text: string }>> = {
  fullnameOverride: {
    schema: { type: 'string', maxLength: 40 },
    text: 'Name of the WavryRelay; that of the release when empty.',
  },
  labels: {
    schema: { type: 'object', additionalProperties: { type: 'string' } },
    text: 'Further labels of the WavryRelay.',
  },
  annotations: {
    schema: { type: 'object', additionalProperties: { type: 'string' } },
    text: 'Further annotations of the WavryRelay.',
  },
};

/** values.schema.json: the spec's own schema, so that helm refuses what the API server would, typing errors included. */
export function valuesSchema(crd: Crd): string {
  const spec = closed(schemaOf(crd, 'spec'));
  const properties = spec['properties'] as Record<string, Record<string, unknown>>;
  // The template says in one line that the URL is missing; the schema would say it in four.
  delete spec['required'];
  delete properties['master']!['required'];
  const schema = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    $comment: 'Made by "npm run generate" from operator/api; don\'t edit.',
    type: 'object',
    additionalProperties: false,
    properties: {
      ...Object.fromEntries(
        Object.entries(OWN).map(([name, { schema, text }]) => [name, { ...schema, description: text }]),
      ),
      global: { type: 'object', description: 'What helm hands down from a parent chart; not used.' },
      spec,
    },
  };
  return `${JSON.stringify(schema, null, 2)}\n`;
}

/** values.yaml: nothing but the defaults of the CRD holds until a value is given, so that an upgrade can change them. */
export function valuesYaml(crd: Crd): string {
  return `${[
    '# Made by "npm run generate" from operator/api; don\'t edit.',
    '',
    ...Object.entries(OWN).flatMap(([name, { schema, text }]) => [
      `# ${text}`,
      `${name}: ${schema.type === 'string' ? "''" : '{}'}`,
      '',
    ]),
    '# The spec of the WavryRelay: master.url is needed, and what is left out has the default that is shown here.',
    'spec: {}',
    ...commented(schemaOf(crd, 'spec'), '').map((line) => (line === '' ? '' : `  # ${line}`)),
  ].join('\n')}\n`;
}

/** README.md of the chart. */
export function chartReadme(crd: Crd): string {
  return `${[
    '<!-- Made by "npm run generate" from operator/api; don\'t edit. -->',
    '',
    '# wavry-relay',
    '',
    'One fleet of Wavry relays a release: a `WavryRelay` with the `spec` that the values give. The operator has to be there',
    'already (chart `wavry-relay-operator`).',
    '',
    '```sh',
    'helm install eu-west helm/wavry-relay --set spec.master.url=https://master.example.com --set spec.replicas=3',
    '```',
    '',
    'A typing error is refused before anything is sent: the values have the schema of the CRD. What is not given is left to the',
    "CRD's defaults. With `spec.autoscaling` the chart leaves `spec.replicas` out, as it belongs to the autoscaler then. `helm upgrade` and",
    '`helm rollback` move the relays one after the other without ending a session; `helm uninstall` lets each end once its sessions',
    'have, within `spec.drain.timeout`.',
    '',
    '| value | type | default | meaning |',
    '|---|---|---|---|',
    ...Object.entries(OWN).map(
      ([name, { schema, text }]) =>
        `| \`${name}\` | ${schema.type === 'string' ? 'string' : 'map of string'} | | ${text} |`,
    ),
    ...rows(schemaOf(crd, 'spec'), 'spec.'),
  ].join('\n')}\n`;
}

function rows(schema: Schema, prefix: string): string[] {
  return fieldsOf(schema).flatMap((field) => {
    const path = `${prefix}${field.name}`;
    const below = field.schema.type === 'array' ? undefined : objectBelow(field.schema);
    if (below) return rows(below, `${path}.`);
    const value = field.required
      ? '**required**'
      : field.defaultText === undefined
        ? ''
        : `\`${field.defaultText}\``;
    const bounds = field.bounds.map((bound) => `<br>– ${markdown(bound)}`).join('');
    return [`| \`${path}\` | ${field.type} | ${value} | ${markdown(field.description)}${bounds} |`];
  });
}

function commented(schema: Schema, indent: string): string[] {
  return fieldsOf(schema).flatMap((field, index) => {
    const below = field.schema.type === 'array' ? undefined : objectBelow(field.schema);
    const bounds = field.bounds.length === 0 || below ? '' : ` (${field.bounds.join('; ')})`;
    return [
      ...(indent === '' && index > 0 ? [''] : []),
      `${indent}# ${field.description.replace(/\.$/, '')}${bounds}.`,
      below ? `${indent}${field.name}:` : `${indent}${field.name}: ${placeholder(field)}`.trimEnd(),
      ...(below ? commented(below, `${indent}  `) : []),
    ];
  });
}

function placeholder(field: Field): string {
  if (field.defaultText !== undefined) return field.defaultText;
  if (field.schema.type === 'array') return '[]';
  if (field.schema.type === 'object') return '{}';
  return '';
}

/** JSON Schema of a structural one: closed where it has properties, without what only Kubernetes knows. */
function closed(schema: Schema): Record<string, unknown> {
  const kept = Object.entries(schema).filter(
    ([keyword]) => !keyword.startsWith('x-kubernetes-') && keyword !== 'format',
  );
  const plain = Object.fromEntries(
    kept.map(([keyword, value]) => {
      if (keyword === 'properties') {
        const properties = value as Record<string, Schema>;
        return [
          keyword,
          Object.fromEntries(Object.entries(properties).map(([name, field]) => [name, closed(field)])),
        ];
      }
      if (keyword === 'items' || keyword === 'additionalProperties')
        return [keyword, closed(value as Schema)];
      return [keyword, value];
    }),
  );
  return { ...plain, ...(schema.properties ? { additionalProperties: false } : {}) };
}
