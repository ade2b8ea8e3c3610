import type { Fleet } from './fleet.ts';
import { masterKeysName } from './names.ts';
import { type AppliedObject, fleetLabels, ownedBy } from './object.ts';

/** Master's public keys, one a line: mounted as a directory, so that relays see a rotation without a restart. */
export function masterKeys(fleet: Fleet): AppliedObject | undefined {
  const keys = fleet.spec.master.publicKeys;
  if (!keys) return undefined;
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: masterKeysName(fleet.name),
      namespace: fleet.namespace,
      labels: fleetLabels(fleet),
      ownerReferences: [ownedBy(fleet)],
    },
    data: { keys: `${keys.join('\n')}\n` },
  };
}
