import type { WavryRelayStatus } from '../../operator/api/status.ts';
import type { KubeObject } from '../../operator/kube/object.ts';

/** WavryRelays a namespace. */
const PER_NAMESPACE = 100;
const KEY = '1eb9dbbbbc047c03fd70604e0071f0987e16b28b757225c11f00415d0e20b1a2';

export interface Fleet {
  readonly namespace: string;
  readonly name: string;
}

export function fleetsOf(resources: number): Fleet[] {
  return Array.from({ length: resources }, (_, index) => ({
    namespace: `bench-${Math.floor(index / PER_NAMESPACE)}`,
    name: `fleet-${index}`,
  }));
}

/** Small relays at the addresses of their pods: with the most objects that a fleet of that kind has. */
export function fleetObject({ namespace, name }: Fleet, replicas: number, masterUrl: string): object {
  return {
    apiVersion: 'wavry.dev/v1alpha1',
    kind: 'WavryRelay',
    metadata: { namespace, name },
    spec: {
      size: 'Small',
      replicas,
      region: 'bench',
      exposure: { type: 'PodIP' },
      master: { url: masterUrl, publicKeys: [KEY] },
      pod: { resources: { requests: { cpu: '10m', memory: '16Mi' } } },
    },
  };
}

/** Whether a WavryRelay has become what its spec says, by its own word: every relay of it serves and the status is of this spec. */
export function hasConverged(object: KubeObject): boolean {
  const status = object['status'] as WavryRelayStatus | undefined;
  const { replicas } = object['spec'] as { replicas: number };
  const condition = (type: string): string | undefined =>
    status?.conditions?.find((entry) => entry.type === type)?.status;
  const relays = status?.relays ?? [];
  return (
    status?.observedGeneration === object.metadata.generation &&
    condition('Ready') === 'True' &&
    condition('Degraded') !== 'True' &&
    status?.readyReplicas === replicas &&
    relays.length === replicas &&
    relays.every((relay) => relay.state === 'Serving' && relay.revision === status.targetRevision)
  );
}

/** What a WavryRelay says of itself, and what its first relay does. */
export function readiness(object: KubeObject | undefined): string {
  const status = object?.['status'] as WavryRelayStatus | undefined;
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  const words = [ready?.message, status?.relays?.[0]?.reason].filter((text) => text !== undefined);
  return words.join('; ') || 'it has no status';
}

/** Objects that each fleet has to have: how many of each kind. */
export function expectedObjects(replicas: number): ReadonlyMap<string, number> {
  return new Map([
    ['Deployment', replicas],
    ['ServiceAccount', 1],
    ['ConfigMap', 1],
    ['Service', 1],
    ['PodDisruptionBudget', 1],
    ['NetworkPolicy', 1],
    ['Pod', replicas],
  ]);
}

/** What of the expected is not there, as `namespace/name: kind has 0 of 1`. Pods count once they are ready. */
export function missingObjects(
  fleets: readonly Fleet[],
  replicas: number,
  objectsByKind: ReadonlyMap<string, readonly KubeObject[]>,
): string[] {
  const problems: string[] = [];
  for (const [kind, wanted] of expectedObjects(replicas)) {
    const objects = (objectsByKind.get(kind) ?? []).filter((object) => kind !== 'Pod' || isReady(object));
    const byFleet = Map.groupBy(
      objects,
      ({ metadata }) => `${metadata.namespace}/${metadata.labels?.['wavry.dev/fleet']}`,
    );
    for (const { namespace, name } of fleets) {
      const found = byFleet.get(`${namespace}/${name}`)?.length ?? 0;
      if (found !== wanted) problems.push(`${namespace}/${name}: ${kind} has ${found} of ${wanted}`);
    }
  }
  return problems;
}

function isReady(pod: KubeObject): boolean {
  const status = pod['status'] as { conditions?: { type: string; status: string }[] } | undefined;
  return status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}
