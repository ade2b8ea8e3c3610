import type { KubeObject, ObjectMeta } from '../../../operator/kube/object.ts';

/** An object as the API server lists it, with what it always has. */
export function object(
  name: string,
  { metadata, ...body }: { readonly metadata?: Partial<ObjectMeta> } & Readonly<Record<string, unknown>> = {},
): KubeObject {
  return {
    ...body,
    metadata: {
      name,
      namespace: 'games',
      uid: `uid-of-${name}`,
      resourceVersion: '1',
      creationTimestamp: '2026-01-01T00:00:00Z',
      ...metadata,
    },
  };
}

/** An owner reference that makes its subject the controller. */
export function controlledBy(
  kind: string,
  name: string,
  uid: string,
): NonNullable<ObjectMeta['ownerReferences']> {
  return [{ apiVersion: kind === 'ReplicaSet' ? 'apps/v1' : 'v1', kind, name, uid, controller: true }];
}
