import type { KubeObject, ManagedFields } from '../kube/object.ts';
import type { Resource } from '../kube/resource.ts';
import { Resources } from '../kube/resource.ts';
import { MANAGED_BY } from '../specs/object.ts';
import { type PodBody, relayAmong } from './observe-pod.ts';

/** Kinds of which nobody asks who set which field. */
const WITHOUT_MANAGERS: ReadonlySet<Resource> = new Set<Resource>([
  Resources.pods,
  Resources.nodes,
  Resources.wavryRelays,
]);

/**
 * What of an object is kept in memory: a thousand fleets are tens of thousands of objects, and most of each is the account
 * of who set which field, and the pods' repetition of their templates. As client-go's SetTransform.
 */
export function trimmerOf(resource: Resource): (object: KubeObject) => KubeObject {
  const withManagers = !WITHOUT_MANAGERS.has(resource);
  return (object) => {
    const { managedFields, ...metadata } = object.metadata;
    const kept = withManagers ? managedFields?.filter(matters) : undefined;
    return {
      ...object,
      ...(resource === Resources.pods ? { spec: podSpec(object as PodBody) } : {}),
      metadata: kept === undefined || kept.length === 0 ? metadata : { ...metadata, managedFields: kept },
    };
  };
}

/** What we applied (to know what another version of an object would take away), and who else set fields of a spec. */
function matters({ manager, operation, subresource, fieldsV1 }: ManagedFields): boolean {
  if (manager === MANAGED_BY) return operation === 'Apply' && subresource === undefined;
  return (subresource === undefined || subresource === 'scale') && fieldsV1?.['f:spec'] !== undefined;
}

/** As much as PodBody has: what an operator looks at of a pod's spec. */
function podSpec({ spec }: PodBody): PodBody['spec'] {
  if (!spec) return undefined;
  const { nodeName, hostNetwork, containers } = spec;
  const relay = relayAmong(containers);
  return {
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(hostNetwork === undefined ? {} : { hostNetwork }),
    ...(relay === undefined ? {} : { containers: [containerOf(relay)] }),
  };
}

function containerOf({ name, ports, args }: PodContainer): PodContainer {
  return {
    ...(name === undefined ? {} : { name }),
    ...(ports === undefined ? {} : { ports }),
    ...(args === undefined ? {} : { args }),
  };
}

type PodContainer = NonNullable<NonNullable<PodBody['spec']>['containers']>[number];
