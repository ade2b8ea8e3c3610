import { readFileSync } from 'node:fs';

import { parse } from 'yaml';

import type { RuleFile } from './promtool.ts';

/** The rules that the operator's chart brings. */
export const OPERATOR_RULES: RuleFile = parse(
  readFileSync(new URL('../../helm/wavry-relay-operator/files/alerts.yaml', import.meta.url), 'utf8'),
) as RuleFile;
