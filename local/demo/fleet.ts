import { setTimeout as sleep } from 'node:timers/promises';

import { API_VERSION, KIND } from '../../operator/api/meta.ts';
import { isStatus } from '../../operator/kube/kube-error.ts';
import { Resources } from '../../operator/kube/resource.ts';
import type { Site } from './site.ts';

/** The WavryRelay of the demo. */
export const FLEET = 'demo';
export const FIELD_MANAGER = 'wavry-demo';

/** The WavryRelay, and the Secret it refers to when the Master is the demo's. */
export function fleetObjects(site: Pick<Site, 'namespace' | 'masterUrl' | 'adminToken' | 'relayImage'>): {
  fleet: object;
  secret: object | undefined;
} {
  const { namespace, masterUrl, adminToken, relayImage } = site;
  const fleet = {
    apiVersion: API_VERSION,
    kind: KIND,
    metadata: { name: FLEET, namespace },
    spec: {
      size: 'Small',
      replicas: 2,
      ...(relayImage !== undefined && { image: relayImage }),
      master: {
        url: masterUrl,
        ...(adminToken !== undefined && {
          adminTokenFrom: { secretKeyRef: { name: SECRET, key: 'admin-token' } },
        }),
      },
      exposure: { type: 'PodIP' },
      // Peers leave without a word: the sooner that is noticed, the sooner a drain ends.
      sessions: { idleTimeout: '5s' },
      drain: { timeout: '2m' },
      // A laptop hasn't two spare cores.
      pod: { resources: { requests: { cpu: '50m', memory: '160Mi' } } },
    },
  };
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: SECRET, namespace },
    stringData: { 'admin-token': adminToken },
  };
  return { fleet, secret: adminToken === undefined ? undefined : secret };
}

/** Applies them as soon as the API server knows the kind. @throws Error with the API server's message. */
export async function applyFleet(site: Site, signal: AbortSignal): Promise<void> {
  const { client, namespace } = site;
  const { fleet, secret } = fleetObjects(site);
  if (secret) await client.apply(Resources.secrets, namespace, SECRET, secret, FIELD_MANAGER);
  for (let tries = 0; ; tries++) {
    try {
      await client.apply(Resources.wavryRelays, namespace, FLEET, fleet, FIELD_MANAGER);
      return;
    } catch (error) {
      // A CRD is served a moment after it was accepted.
      if (!isStatus(error, 404) || tries >= MOST_TRIES || signal.aborted) throw error;
      await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
  }
}

const SECRET = 'demo-master';
const RETRY_MS = 250;
const MOST_TRIES = 120;
