import { parseAllDocuments } from 'yaml';

import { findBinaries } from '../../local/cluster/binaries.ts';
import { CHART, runHelm } from '../e2e/operator/operator-cluster.ts';
import type { RuleFile } from './promtool.ts';

/** The rules that the operator's chart brings with these flags of helm. */
export async function operatorRules(...args: readonly string[]): Promise<RuleFile> {
  const { helm } = await findBinaries(['helm']);
  const text = await runHelm(helm, [
    'template',
    'wavry',
    CHART,
    '--namespace=wavry-system',
    '--show-only=templates/monitoring.yaml',
    '--set=monitoring.prometheusRule=true',
    ...args,
  ]);
  const rule = parseAllDocuments(text)
    .map((document) => document.toJS() as { readonly kind: string; readonly spec: RuleFile })
    .find(({ kind }) => kind === 'PrometheusRule');
  return rule!.spec;
}

export const OPERATOR_RULES = await operatorRules('--set=monitoring.serviceMonitor=true');
