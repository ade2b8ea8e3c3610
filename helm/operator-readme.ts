import { isMap, isScalar, parseDocument, type YAMLMap } from 'yaml';

import { fieldsOf, type Schema } from '../crds/fields.ts';
import { markdown } from '../crds/reference.ts';

/**
 * README.md of the operator's chart: its values as helm-docs would list them, types and bounds out of the schema, meaning out of
 * the comments.
 *
 * @param values values.yaml
 * @param schema values.schema.json
 * @throws Error naming a value without a comment, or one that the schema doesn't know
 */
export function operatorReadme(values: string, schema: Schema): string {
  const document = parseDocument(values);
  if (!isMap(document.contents)) throw new Error('values.yaml is no map');
  return `${[
    '<!-- Made by "npm run generate" from values.yaml and values.schema.json; don\'t edit. -->',
    '',
    ...ABOUT,
    '',
    '## Values',
    '',
    '| value | type | default | meaning |',
    '|---|---|---|---|',
    ...rows(document.contents, schema, '', document.commentBefore),
  ].join('\n')}\n`;
}

const ABOUT = `# wavry-relay-operator

The operator: it looks after fleets of Wavry relays, each a \`WavryRelay\` resource ([reference](../../docs/reference.md)).

No image is published yet: build both and name them by \`image.repository\` and \`relayImage\` ([how](../../docs/install.md#images)).

\`\`\`sh
helm upgrade --install wavry helm/wavry-relay-operator --namespace wavry-system --create-namespace --wait
helm test wavry --namespace wavry-system
\`\`\`

The test asks every operator, the API server and \`custom.metrics.k8s.io\` whether all is as it should be, and says what to do where
it isn't; its pod stays for its log. A value that is mistyped, or of the wrong type, is refused before anything is installed.

\`\`\`sh
helm upgrade wavry helm/wavry-relay-operator --namespace wavry-system --reset-then-reuse-values --wait
\`\`\`

\`--reset-then-reuse-values\` keeps what you have set and takes everything else from the new chart; \`--reuse-values\` would leave out
what is new. No relay restarts, neither for that nor for \`helm rollback\` ([upgrading](../../docs/upgrading.md)).

\`\`\`sh
helm uninstall wavry --namespace wavry-system --wait
\`\`\`

The CustomResourceDefinition stays, and with it every WavryRelay and its relays, which go on serving. Never delete the operator's
namespace instead: a \`custom.metrics.k8s.io\` without a server holds up the deletion of every namespace
([what helps then](../../docs/upgrading.md#uninstall)).

Who installs the chart must be allowed to make ClusterRoles, the CustomResourceDefinition (\`crd.install\`) and APIServices
(\`customMetrics.enabled\`). Relays of \`HostPort\` and \`HostNetwork\` need a namespace that lets them; the operator's own may enforce the
*restricted* pod security standard.`.split('\n');

/** A row for each value; one without type for what groups others. */
function rows(
  map: YAMLMap,
  schema: Schema,
  prefix: string,
  firstComment: string | null | undefined,
): string[] {
  const fields = new Map(fieldsOf(schema).map((field) => [field.name, field]));
  return map.items.flatMap(({ key, value }, index) => {
    if (!isScalar(key)) throw new Error(`values.yaml: a name below "${prefix}" is no text`);
    const path = `${prefix}${String(key.value)}`;
    const field = fields.get(String(key.value));
    if (!field) throw new Error(`values.schema.json doesn't know ${path}`);
    // The comment on the first value of a map is the map's.
    const comment = key.commentBefore ?? (index === 0 ? (map.commentBefore ?? firstComment) : undefined);
    if (!comment) throw new Error(`values.yaml: ${path} has no comment that says what it is`);
    const text = markdown(
      comment
        .split('\n')
        .map((line) => line.trim())
        .join(' '),
    );
    if (isMap(value) && field.schema.properties && !WHOLE.has(path))
      return [`| **${path}** | | | ${text} |`, ...rows(value, field.schema, `${path}.`, undefined)];
    const standard = JSON.stringify((value as { toJSON(): unknown }).toJSON());
    // What has no type of its own refers to a definition, which is an object.
    const type = field.type.replace(/\bany$/, 'object');
    const bounds = field.bounds.filter((bound) => !bound.startsWith('matches '));
    return [
      `| \`${path}\` | ${type} | \`${standard}\` | ${text}${bounds.map((bound) => `<br>– ${markdown(bound)}`).join('')} |`,
    ];
  });
}

/** Fields of Kubernetes that are told in one row. */
const WHOLE: ReadonlySet<string> = new Set(['resources', 'affinity']);
