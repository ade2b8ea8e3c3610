import { KIND } from '../api/meta.ts';
import type { KubeObject } from '../kube/object.ts';

/** True when this WavryRelay controls the object. */
export function isControlledBy(object: KubeObject, uid: string): boolean {
  return (object.metadata.ownerReferences ?? []).some(
    (owner) => owner.controller === true && owner.uid === uid,
  );
}

/** True when a fleet of this name, but another one, controls the object. */
export function isEarlier(object: KubeObject, fleetKey: string, uid: string): boolean {
  const owner = (object.metadata.ownerReferences ?? []).find((reference) => reference.controller === true);
  return (
    owner?.kind === KIND && owner.uid !== uid && `${object.metadata.namespace}/${owner.name}` === fleetKey
  );
}

export function ownerText(object: KubeObject): string {
  const owner = (object.metadata.ownerReferences ?? []).find((reference) => reference.controller === true);
  if (owner)
    return owner.kind === KIND ? `another ${KIND} named ${owner.name}` : `${owner.kind} ${owner.name}`;
  const manager = object.metadata.labels?.['app.kubernetes.io/managed-by'];
  return manager === undefined ? 'somebody else (it has no owner)' : `somebody else (managed by ${manager})`;
}
