import { KIND, PLURAL, GROUP } from '../api/meta.ts';
import { crdProblem } from '../controller/served-crd.ts';
import type { KubeClient } from '../kube/client.ts';
import { isStatus } from '../kube/kube-error.ts';
import type { KubeObject } from '../kube/object.ts';
import { resourcePath, Resources } from '../kube/resource.ts';
import { METRICS_API_SERVICES } from '../plan/metrics-api.ts';

export interface CheckOptions {
  readonly client: KubeClient;
  /** Where the operator is, and the labels of its pods. */
  readonly namespace: string;
  readonly selector: string;
  readonly lease: string;
  readonly customMetrics: boolean;
  readonly wallMs: () => number;
  /** GET; rejects when no answer comes in time. */
  readonly get: (url: string) => Promise<{ readonly ok: boolean; readonly text: string }>;
}

/** One thing that has to be so, and what to do where it isn't; undefined where it is. */
export interface Finding {
  readonly what: string;
  readonly problem: string | undefined;
}

/** Whether an installed operator does what it is there for. Never rejects: whoever can't be asked is a problem. */
export function runChecks(options: CheckOptions): Promise<readonly Finding[]> {
  const checks: [string, Promise<string | undefined>][] = [
    [`the API server knows ${KIND}s as this release does`, crdProblem(options.client)],
    ['every operator is ready', unreadyOperators(options)],
    ['an operator leads', noLeader(options)],
  ];
  if (options.customMetrics) checks.push(['custom.metrics.k8s.io answers for fleets', noMetrics(options)]);
  return Promise.all(
    checks.map(async ([what, check]) => ({
      what,
      problem: await check.catch((error: Error) => error.message),
    })),
  );
}

interface PodObject extends KubeObject {
  readonly spec: {
    readonly containers: readonly {
      readonly name: string;
      readonly ports?: readonly { readonly name?: string; readonly containerPort: number }[];
    }[];
  };
  readonly status?: { readonly podIP?: string; readonly phase?: string };
}

async function unreadyOperators({
  client,
  namespace,
  selector,
  get,
}: CheckOptions): Promise<string | undefined> {
  const { items } = await client.call<{ items: readonly PodObject[] }>(
    'GET',
    resourcePath(Resources.pods, namespace),
    { query: { labelSelector: selector } },
  );
  const pods = items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  if (pods.length === 0)
    return `no pod in namespace ${namespace} has the labels ${selector}: see "kubectl --namespace ${namespace} describe deployments,replicasets"`;
  const problems = await Promise.all(
    pods.map(async ({ metadata: { name }, spec, status }) => {
      const port = spec.containers
        .find((container) => container.name === 'operator')
        ?.ports?.find((known) => known.name === 'http')?.containerPort;
      if (status?.podIP === undefined || status.phase !== 'Running' || port === undefined)
        return `pod ${name} doesn't run: see "kubectl --namespace ${namespace} describe pod ${name}"`;
      const host = status.podIP.includes(':') ? `[${status.podIP}]` : status.podIP;
      try {
        const { ok, text } = await get(`http://${host}:${port}/readyz`);
        return ok ? undefined : `pod ${name} is not ready: ${text.slice(0, 200)}`;
      } catch (error) {
        return `pod ${name} doesn't answer at ${host}:${port} (${(error as Error).message}): see its log, and what network policies let through`;
      }
    }),
  );
  return problems.find((problem) => problem !== undefined);
}

interface LeaseObject extends KubeObject {
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly renewTime?: string;
  };
}

async function noLeader({ client, namespace, lease, wallMs }: CheckOptions): Promise<string | undefined> {
  let object: LeaseObject;
  try {
    object = await client.get(Resources.leases, namespace, lease);
  } catch (error) {
    if (isStatus(error, 404)) return `nobody has led yet: there is no Lease ${namespace}/${lease}`;
    throw error;
  }
  const { holderIdentity = '', leaseDurationSeconds = 0, renewTime = '' } = object.spec ?? {};
  if (holderIdentity === '') return `nobody holds the Lease ${namespace}/${lease}`;
  const ageMs = wallMs() - Date.parse(renewTime);
  // Not so much as true: clocks of two nodes are compared.
  return ageMs < 2000 * leaseDurationSeconds
    ? undefined
    : `${holderIdentity} has renewed the Lease ${namespace}/${lease} last at ${renewTime || 'no time'}: see its log`;
}

async function noMetrics({ client }: CheckOptions): Promise<string | undefined> {
  for (const name of METRICS_API_SERVICES) {
    const [version, ...group] = name.split('.');
    let resources: readonly { readonly name: string }[];
    try {
      ({ resources } = await client.call<{ resources: typeof resources }>(
        'GET',
        `/apis/${group.join('.')}/${version}`,
        {
          signal: AbortSignal.timeout(10_000),
        },
      ));
    } catch (error) {
      const { message } = error as Error;
      const hint = isStatus(error, 404)
        ? FOREIGN
        : `the API server must get through to the operator's pods: see "kubectl describe apiservice ${name}"`;
      return `${name}: ${message}; ${hint}`;
    }
    if (resources.every((resource) => resource.name !== `${PLURAL}.${GROUP}/active_sessions`))
      return `${name} answers, but it isn't this operator's; ${FOREIGN}`;
  }
  return undefined;
}

const FOREIGN =
  'a cluster has one owner of custom.metrics.k8s.io: remove another one and upgrade the chart, or set customMetrics.apiServices=false and do without spec.autoscaling';
