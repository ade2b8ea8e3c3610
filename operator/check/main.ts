import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { UsageError } from '../config/config.ts';
import { loadKubeConfig } from '../controller/kubeconfig.ts';
import { KubeClient } from '../kube/client.ts';
import { Connection } from '../kube/connection.ts';
import { type CheckOptions, type Finding, runChecks } from './checks.ts';

const HELP = `Looks whether an installed operator does what it is there for: what "helm test" runs. Needs the rights to list the
operator's pods and to read its Lease.

Usage: wavry-relay-operator check [flags]

  --namespace=NAME      of the operator [$POD_NAMESPACE, or that of the context]
  --selector=LABELS     of its pods [app.kubernetes.io/name=wavry-relay-operator]
  --custom-metrics      custom.metrics.k8s.io has to be this operator's
  --timeout=SECONDS     to wait for all to be well [90]
  --kubeconfig=FILE     as for the operator itself
  --context=NAME
`;
const LEASE = 'wavry-relay-operator';
const AGAIN_MS = 2000;
const ANSWER_MS = 5000;

/** `wavry-relay-operator check`: a line for each thing looked at. Returns the exit code: 0, 1, or 64 for wrong flags. */
export async function check(argv: readonly string[], version: string): Promise<number> {
  let flags: Flags | undefined;
  try {
    flags = readFlags(argv);
  } catch (error) {
    console.error(`wavry-relay-operator check: ${(error as Error).message}`);
    return 64;
  }
  if (!flags) {
    console.log(HELP.trimEnd());
    return 0;
  }
  try {
    const access = loadKubeConfig(flags, process.env);
    const connection = new Connection(access.kubeConfig);
    const options: CheckOptions = {
      client: new KubeClient(connection, { userAgent: `wavry-relay-operator-check/${version}` }),
      namespace: flags.namespace ?? (process.env['POD_NAMESPACE'] || access.namespace),
      selector: flags.selector,
      lease: LEASE,
      customMetrics: flags.customMetrics,
      wallMs: Date.now,
      get: async (url) => {
        const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) });
        return { ok: response.ok, text: (await response.text()).trim() };
      },
    };
    const findings = await untilWell(options, flags.timeoutMs);
    for (const { what, problem } of findings)
      console.log(problem === undefined ? `ok: ${what}` : `FAILED: ${what}: ${problem}`);
    await connection.close();
    return findings.every(({ problem }) => problem === undefined) ? 0 : 1;
  } catch (error) {
    console.error(`wavry-relay-operator check: ${(error as Error).message}`);
    return 1;
  }
}

/** Right after it was installed or upgraded, an operator needs its time. */
async function untilWell(options: CheckOptions, timeoutMs: number): Promise<readonly Finding[]> {
  const endMs = options.wallMs() + timeoutMs;
  for (;;) {
    const findings = await runChecks(options);
    if (findings.every(({ problem }) => problem === undefined) || options.wallMs() >= endMs) return findings;
    await sleep(AGAIN_MS);
  }
}

interface Flags {
  readonly namespace: string | undefined;
  readonly selector: string;
  readonly customMetrics: boolean;
  readonly timeoutMs: number;
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
}

/** Undefined when help was asked for. Throws UsageError. */
function readFlags(argv: readonly string[]): Flags | undefined {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      namespace: { type: 'string' },
      selector: { type: 'string', default: 'app.kubernetes.io/name=wavry-relay-operator' },
      'custom-metrics': { type: 'boolean', default: false },
      timeout: { type: 'string', default: '90' },
      kubeconfig: { type: 'string' },
      context: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  const seconds = Number(values.timeout);
  if (values.timeout.trim() === '' || !(seconds >= 0 && seconds <= 3600))
    throw new UsageError(`--timeout: "${values.timeout}" is not a number of seconds from 0 to 3600`);
  return {
    namespace: values.namespace,
    selector: values.selector,
    customMetrics: values['custom-metrics'],
    timeoutMs: seconds * 1000,
    kubeconfig: values.kubeconfig,
    context: values.context,
  };
}
