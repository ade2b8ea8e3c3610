import type { RelayStatus, WavryRelayStatus } from '../../operator/api/status.ts';
import type { KubeClient } from '../../operator/kube/client.ts';
import { isStatus } from '../../operator/kube/kube-error.ts';
import type { KubeObject } from '../../operator/kube/object.ts';
import type { Resource } from '../../operator/kube/resource.ts';
import { resourcePath, Resources } from '../../operator/kube/resource.ts';
import { Label } from '../../operator/api/meta.ts';
import { FLEET } from './fleet.ts';
import type { Site } from './site.ts';

/** What the API server says of the fleet and what belongs to it. Texts hold no control characters. */
export interface ClusterState {
  /** Undefined before it is made. */
  readonly fleet?: {
    readonly desired: number;
    readonly status: WavryRelayStatus;
  };
  /** By the relay's name: its own word, fresher than the status. */
  readonly health: Readonly<Record<string, RelayHealth>>;
  /** Counts by kind, such as `deployment`. */
  readonly objects: readonly (readonly [kind: string, count: number])[];
  readonly operator?: { readonly ready: number; readonly desired: number };
  /** The latest last. */
  readonly events: readonly FleetEvent[];
}

export interface RelayHealth {
  readonly state: string;
  readonly sessions: number;
}

export interface FleetEvent {
  readonly time: string;
  readonly reason: string;
  readonly message: string;
}

/** Asks for it once. @throws KubeError when the API server doesn't answer. */
export async function lookAtCluster(
  { client, namespace, operator }: Pick<Site, 'client' | 'namespace' | 'operator'>,
  signal: AbortSignal,
): Promise<ClusterState> {
  const own = async <Found extends KubeObject>(
    resource: Resource,
    query: Record<string, string>,
  ): Promise<Found[]> =>
    (await client.call<{ items: Found[] }>('GET', resourcePath(resource, namespace), { query, signal }))
      .items;
  const [fleet, deployment, events, ...lists] = await Promise.all([
    find<Fleet>(client, Resources.wavryRelays, namespace, FLEET, signal),
    operator.deployment &&
      find<Deployment>(
        client,
        Resources.deployments,
        operator.deployment.namespace,
        operator.deployment.name,
        signal,
      ),
    own<EventObject>(Resources.events, {
      fieldSelector: `involvedObject.kind=WavryRelay,involvedObject.name=${FLEET}`,
    }),
    ...KINDS.map((kind) => own(kind, { labelSelector: `${Label.fleet}=${FLEET}` })),
  ]);
  const status = fleet?.status ?? {};
  return {
    ...(fleet && { fleet: { desired: fleet.spec.replicas ?? 0, status: plain(status) } }),
    health: await relayHealth(client, namespace, status.relays ?? [], signal),
    objects: KINDS.map((kind, i): [string, number] => [kind.kind, lists[i]!.length]).filter(
      ([, count]) => count > 0,
    ),
    ...(deployment && {
      operator: {
        ready: deployment.status?.readyReplicas ?? 0,
        desired: deployment.spec.replicas ?? 1,
      },
    }),
    events: plain(events.map(readEvent).toSorted((a, b) => (a.time < b.time ? -1 : 1))),
  };
}

const KINDS = [
  Resources.deployments,
  Resources.pods,
  Resources.services,
  Resources.configMaps,
  Resources.serviceAccounts,
  Resources.podDisruptionBudgets,
  Resources.networkPolicies,
];
const HEALTH_PORT = 9091;
const HEALTH_BYTES = 64 * 1024;

interface Fleet extends KubeObject {
  readonly spec: { readonly replicas?: number };
  readonly status?: WavryRelayStatus;
}

interface Deployment extends KubeObject {
  readonly spec: { readonly replicas?: number };
  readonly status?: { readonly readyReplicas?: number };
}

interface EventObject extends KubeObject {
  readonly reason: string;
  readonly message: string;
  readonly lastTimestamp?: string | null;
}

async function find<Found>(
  client: KubeClient,
  resource: Resource,
  namespace: string,
  name: string,
  signal: AbortSignal,
): Promise<Found | undefined> {
  try {
    return await client.get<Found>(resource, namespace, name, { signal });
  } catch (error) {
    if (isStatus(error, 404)) return undefined;
    throw error;
  }
}

async function relayHealth(
  client: KubeClient,
  namespace: string,
  relays: readonly RelayStatus[],
  signal: AbortSignal,
): Promise<Record<string, RelayHealth>> {
  const answers = await Promise.all(
    relays.map(async ({ name, pod }): Promise<[string, RelayHealth] | undefined> => {
      if (pod === undefined) return undefined;
      const path = resourcePath(Resources.pods, namespace, `${pod}:${HEALTH_PORT}`, 'proxy/health');
      try {
        const { text } = await client.text(path, { signal, maxBytes: HEALTH_BYTES });
        const { state, total_sessions } = JSON.parse(text) as { state?: unknown; total_sessions?: unknown };
        if (typeof state !== 'string' || typeof total_sessions !== 'number') return undefined;
        return [name, { state: plain(state), sessions: total_sessions }];
      } catch {
        // It doesn't serve yet, or no more: the status says which.
        return undefined;
      }
    }),
  );
  return Object.fromEntries(answers.filter((answer) => answer !== undefined));
}

function readEvent({ reason, message, lastTimestamp, metadata }: EventObject): FleetEvent {
  return { time: lastTimestamp ?? metadata.creationTimestamp, reason, message };
}

/** Every text in it without control characters: what others wrote must not steer the terminal. */
export function plain<Value>(value: Value): Value {
  if (typeof value === 'string') return value.replaceAll(CONTROL, ' ') as Value;
  if (Array.isArray(value)) return value.map(plain) as Value;
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, plain(part)])) as Value;
}

const CONTROL = /\p{Cc}/gu;
