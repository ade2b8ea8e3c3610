import type { KubeObject } from '../../../operator/kube/object.ts';
import { Resources } from '../../../operator/kube/resource.ts';
import type { OperatorCluster } from './operator-cluster.ts';
import { until } from './until.ts';

/** Longer than the drain of every relay that peers have just left, on a machine that does much else. */
const PATIENCE_MS = 180_000;

const KINDS = [
  Resources.deployments,
  Resources.services,
  Resources.serviceAccounts,
  Resources.configMaps,
  Resources.podDisruptionBudgets,
  Resources.networkPolicies,
  Resources.pods,
];

/** Waits until all that is asked for serves the latest revision; relays that drain may still be there. */
export async function whenReady(operator: OperatorCluster, namespace: string): Promise<void> {
  await until(
    `${namespace} to be ready`,
    async () => {
      const { metadata, spec, status } = await operator.fleet('fleet', namespace);
      const serving = (status?.relays ?? []).filter(
        ({ state, revision }) => state === 'Serving' && revision === status?.targetRevision,
      );
      const ready =
        status?.observedGeneration === metadata.generation &&
        status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True' &&
        serving.length === spec.replicas;
      if (!ready) throw new Error(JSON.stringify(status ?? 'no status'));
      return true;
    },
    PATIENCE_MS,
  );
}

/** Waits until a fleet is ready and has its serving relays only. */
async function whenSettled(operator: OperatorCluster, namespace: string): Promise<void> {
  await whenReady(operator, namespace);
  await until(
    `nothing of ${namespace} to go any more`,
    async () => {
      const { spec, status } = await operator.fleet('fleet', namespace);
      const relays = status?.relays ?? [];
      const pods = await operator.list(Resources.pods, namespace, 'wavry.dev/fleet=fleet');
      const policies = await operator.list(Resources.networkPolicies, namespace, 'wavry.dev/fleet=fleet');
      const settled =
        relays.length === spec.replicas &&
        relays.every((relay) => relay.state === 'Serving' && relay.revision === status?.targetRevision) &&
        status?.totalSessions === 0 &&
        pods.length === spec.replicas &&
        policies.flatMap(podOwners).length === spec.replicas;
      if (!settled) {
        const present = pods.map(({ metadata: { name, annotations, deletionTimestamp = '' } }) => [
          name,
          annotations,
          deletionTimestamp,
        ]);
        throw new Error(JSON.stringify([present, status ?? 'no status']));
      }
      return true;
    },
    PATIENCE_MS,
  );
}

function podOwners({ metadata }: KubeObject): string[] {
  return (metadata.ownerReferences ?? []).flatMap(({ kind, name }) => (kind === 'Pod' ? [name] : []));
}

/**
 * Everything that a fleet has in the cluster once all its relays serve and nothing goes any more, without what differs
 * from one run to the next: numbers of relays, names of pods, addresses, times, UIDs, and which of the tests' Masters
 * it has, with the revision that follows from it.
 */
export async function endState(operator: OperatorCluster, namespace: string): Promise<unknown> {
  await whenSettled(operator, namespace);
  const { spec, status } = await operator.fleet('fleet', namespace);
  const revision = status?.targetRevision ?? '';
  const objects: Record<string, unknown[]> = {};
  for (const resource of KINDS) {
    const list = await operator.list(resource, namespace, 'wavry.dev/fleet=fleet');
    const anonymous = resource === Resources.pods ? anonymousPod : anonymousObject;
    objects[resource.kind] = list.map((object) => withoutNames(anonymous(object), revision));
    objects[resource.kind]!.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  }
  return {
    objects,
    spec: withoutNames(spec, revision),
    conditions: status?.conditions?.map((condition) => [condition.type, condition.status, condition.reason]),
    relays: status?.relays?.map((relay) => [relay.state, relay.revision === revision]),
    counts: [status?.replicas, status?.readyReplicas, status?.drainingReplicas, status?.totalSessions],
    current: status?.currentRevision === revision,
    selector: status?.selector,
  };
}

/** What we write of an object. */
function anonymousObject({ metadata, spec, data }: KubeObject): object {
  const { name, labels, annotations = {}, ownerReferences = [] } = metadata;
  // Of the Deployment controller.
  const { 'deployment.kubernetes.io/revision': _revision, ...ours } = annotations;
  const owners = ownerReferences.map(({ kind, name }) => (kind === 'Pod' ? kind : `${kind} ${name}`));
  return { name, labels, annotations: ours, owners, spec, data };
}

/** What we write on a pod; the rest of it is in its Deployment. */
function anonymousPod({ metadata }: KubeObject): object {
  const { 'pod-template-hash': _hash, 'wavry.dev/pod': uid, ...labels } = metadata.labels ?? {};
  return { labels, named: uid === metadata.uid, annotations: metadata.annotations };
}

function withoutNames(object: object, revision: string): unknown {
  const text = JSON.stringify(object, (field, value: unknown) =>
    field === 'clusterIP' || field === 'clusterIPs' ? undefined : value,
  );
  return JSON.parse(
    text
      .replaceAll(revision, 'REVISION')
      .replaceAll(/fleet-REVISION-\d+/g, 'fleet-REVISION-N')
      .replaceAll(/http:\/\/198\.18\.0\.1:808\d/g, 'MASTER')
      .replaceAll(/198\.1[89]\.\d+\.\d+/g, 'ADDRESS'),
  );
}
