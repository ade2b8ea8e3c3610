import { readFileSync } from 'node:fs';
import process from 'node:process';
import { parseArgs } from 'node:util';

import { parse, stringify } from 'yaml';

import { KIND } from '../operator/api/meta.ts';
import { readSpec } from '../operator/api/read-spec.ts';
import { ruleGroups } from '../operator/specs/prometheus-rule.ts';
import { RUNBOOKS } from '../operator/specs/runbook.ts';

const HELP = `Prints the alerts and recording rules of a fleet as a rule file of Prometheus, for where no Prometheus Operator is.

Usage: kubectl get wavryrelay NAME -o yaml | npm run --silent rules -- -
       npm run --silent rules -- FILE                      the same of a manifest
       npm run --silent rules -- --fleet=NAMESPACE/NAME    relays without a WavryRelay, labelled so by their scrape_config
`;

/**
 * The rule file of one WavryRelay.
 *
 * @param text its manifest
 * @throws Error of one line for what is none
 */
export function ruleFile(text: string): string {
  const { kind, metadata, spec } = (parse(text) ?? {}) as {
    kind?: string;
    metadata?: { name?: string; namespace?: string };
    spec?: unknown;
  };
  if (kind !== KIND || metadata?.name === undefined)
    throw new Error(
      'this is no WavryRelay: give the manifest of one, such as "kubectl get … -o yaml" prints',
    );
  const reading = readSpec(spec);
  if (!reading.spec) throw new Error(reading.problems.join('; '));
  return fileOf(metadata.namespace ?? 'default', metadata.name, reading.spec);
}

/** That of relays outside of any cluster, which drain for an hour at most and don't scale by themselves. */
export function ruleFileOf(fleet: string): string {
  const [, namespace, name] = /^([^/]+)\/([^/]+)$/.exec(fleet) ?? [];
  const { spec } = readSpec({ master: { url: 'https://master.invalid' } });
  if (namespace === undefined || name === undefined || !spec)
    throw new Error(
      `--fleet=${fleet}: must be the labels namespace and wavry_dev_fleet, such as outside/relays`,
    );
  return fileOf(namespace, name, spec);
}

function fileOf(namespace: string, name: string, spec: Parameters<typeof ruleGroups>[0]['spec']): string {
  const groups = ruleGroups({ name, namespace, uid: '', spec, defaultImage: '', runbooks: RUNBOOKS });
  return stringify({ groups }, { lineWidth: 0, aliasDuplicateObjects: false });
}

if (import.meta.main) {
  try {
    const { values, positionals } = parseArgs({
      options: { fleet: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
      allowPositionals: true,
    });
    const [file] = positionals;
    if (values.help === true) process.stdout.write(HELP);
    else if (values.fleet !== undefined) process.stdout.write(ruleFileOf(values.fleet));
    else if (file !== undefined)
      process.stdout.write(ruleFile(readFileSync(file === '-' ? 0 : file, 'utf8')));
    else throw new Error('give a manifest, - for standard input, or --fleet; --help says more');
  } catch (error) {
    console.error(`npm run rules: ${(error as Error).message}`);
    process.exitCode = 1;
  }
}
