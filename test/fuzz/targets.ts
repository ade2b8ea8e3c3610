import { commandLineTarget } from './command-line-target.ts';
import { fileTargets } from './file-targets.ts';
import { healthTarget } from './health-target.ts';
import { leaseTargets } from './lease-targets.ts';
import { masterTargets } from './master-targets.ts';
import { memoryTarget } from './memory-target.ts';
import { pipelineTargets } from './pipeline-targets.ts';
import { relayTarget } from './relay-target.ts';
import type { Target } from './target.ts';
import { wireTargets } from './wire-targets.ts';

export const TARGETS: readonly Target[] = [
  ...wireTargets,
  ...leaseTargets,
  ...pipelineTargets,
  memoryTarget,
  ...fileTargets,
  ...masterTargets,
  commandLineTarget,
  healthTarget,
  relayTarget,
];
