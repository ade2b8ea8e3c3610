import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import process from 'node:process';

import { stringify } from 'yaml';

import { customResourceDefinition } from '../operator/api/crd.ts';
import { operatorReadme } from '../helm/operator-readme.ts';
import type { Schema } from './fields.ts';
import { reference } from './reference.ts';
import { chartReadme, valuesSchema, valuesYaml } from './relay-chart.ts';

/** Files that are made from operator/api: the plain CRD, the charts' parts of it, and its reference. And the charts' READMEs. */
export function generatedFiles(): ReadonlyMap<string, string> {
  const crd = customResourceDefinition();
  const plain = yaml(crd);
  const { name } = crd['metadata'] as { name: string };
  const [beforeName, afterName] = yaml({
    ...crd,
    metadata: { annotations: { 'helm.sh/resource-policy': 'keep' }, name },
  }).split('    helm.sh/resource-policy: keep\n') as [string, string];
  return new Map([
    [
      'crds/wavryrelays.wavry.dev.yaml',
      `# Made by "npm run generate" from operator/api; don't edit.\n${plain}`,
    ],
    [
      'helm/wavry-relay-operator/templates/crd.yaml',
      [
        '{{- /* Made by "npm run generate" from operator/api; don\'t edit. */}}',
        '{{- if .Values.crd.install }}',
        beforeName.trimEnd(),
        '    {{- if .Values.crd.keep }}',
        '    helm.sh/resource-policy: keep',
        '    {{- end }}',
        '    meta.wavry.dev/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}',
        afterName.trimEnd(),
        '{{- end }}',
        '',
      ].join('\n'),
    ],
    ['helm/wavry-relay/values.schema.json', valuesSchema(customResourceDefinition({ patterns: true }))],
    ['helm/wavry-relay/values.yaml', valuesYaml(crd)],
    ['helm/wavry-relay/README.md', chartReadme(crd)],
    [
      'helm/wavry-relay-operator/README.md',
      operatorReadme(
        readFileSync('helm/wavry-relay-operator/values.yaml', 'utf8'),
        JSON.parse(readFileSync('helm/wavry-relay-operator/values.schema.json', 'utf8')) as Schema,
      ),
    ],
    ['docs/reference.md', reference(crd)],
  ]);
}

function yaml(value: unknown): string {
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
}

if (import.meta.main) {
  const check = process.argv.includes('--check');
  for (const [file, text] of generatedFiles()) {
    if (!check) writeFileSync(file, text);
    else if (!existsSync(file) || readFileSync(file, 'utf8') !== text) {
      console.error(`${file} is out of date: run "npm run generate"`);
      process.exitCode = 1;
    }
  }
}
