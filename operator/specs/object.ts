import { API_VERSION, KIND, Label } from '../api/meta.ts';
import type { Fleet } from './fleet.ts';

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

/** An object as it is sent to the API server, by server-side apply: only the fields that the operator owns. */
export interface AppliedObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly ownerReferences?: readonly OwnerReference[];
  };
  readonly [field: string]: unknown;
}

export const MANAGED_BY = 'wavry-relay-operator';

/** https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/ */
export function fleetLabels(fleet: Fleet): Record<string, string> {
  return {
    'app.kubernetes.io/name': 'wavry-relay',
    'app.kubernetes.io/instance': fleet.name,
    'app.kubernetes.io/managed-by': MANAGED_BY,
    [Label.fleet]: fleet.name,
  };
}

export interface PodIdentity {
  readonly name: string;
  readonly uid: string;
}

/** It stays at least as long as this pod. */
export function heldBy({ name, uid }: PodIdentity): OwnerReference {
  return { apiVersion: 'v1', kind: 'Pod', name, uid };
}

export function ownedBy(fleet: Fleet): OwnerReference {
  return {
    apiVersion: API_VERSION,
    kind: KIND,
    name: fleet.name,
    uid: fleet.uid,
    controller: true,
    blockOwnerDeletion: true,
  };
}
