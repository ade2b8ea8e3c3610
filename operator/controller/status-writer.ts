import type { WavryRelayStatus } from '../api/status.ts';
import type { KubeClient } from '../kube/client.ts';
import type { KubeObject } from '../kube/object.ts';
import { Resources } from '../kube/resource.ts';
import { ageMs } from './age.ts';

/** Session counts and words alone are written at most this often: relays tell both, and may tell others at each poll. */
const DETAILS_EVERY_MS = 30_000;

/** Whether a status is worth writing now, and if not yet, when. */
export function statusDue(
  last: WavryRelayStatus | undefined,
  next: WavryRelayStatus,
  lastWrittenMs: number,
  nowMs: number,
): { readonly write: boolean; readonly atMs: number | undefined } {
  const same = JSON.stringify(ordered(next)) === JSON.stringify(ordered(last));
  if (same) return { write: false, atMs: undefined };
  const onlyDetails =
    JSON.stringify(ordered(withoutDetails(next))) === JSON.stringify(ordered(withoutDetails(last)));
  if (onlyDetails && ageMs(lastWrittenMs, nowMs) < DETAILS_EVERY_MS) {
    return { write: false, atMs: lastWrittenMs + DETAILS_EVERY_MS };
  }
  return { write: true, atMs: undefined };
}

/** Replaces the status: by server-side apply with force, as nobody else writes it. */
export async function writeStatus(
  client: KubeClient,
  fleet: { readonly namespace: string; readonly name: string; readonly uid: string },
  status: WavryRelayStatus,
  fieldManager: string,
): Promise<KubeObject> {
  return client.apply<KubeObject>(
    Resources.wavryRelays,
    fleet.namespace,
    fleet.name,
    {
      apiVersion: 'wavry.dev/v1alpha1',
      kind: 'WavryRelay',
      metadata: { name: fleet.name, namespace: fleet.namespace, uid: fleet.uid },
      status,
    },
    fieldManager,
    'status',
  );
}

/** What is left says in which state the fleet and each relay is, and the reason in one word. */
function withoutDetails(status: WavryRelayStatus | undefined): unknown {
  if (!status) return undefined;
  const { totalSessions: _total, sessionCapacity: _capacity, relays, conditions, ...rest } = status;
  return {
    ...rest,
    relays: relays?.map(({ sessions: _sessions, reason, ...relay }) => [relay, reason?.split(':', 1)]),
    conditions: conditions?.map(({ message: _message, ...condition }) => condition),
  };
}

/** The same JSON for the same content: the API server hands fields out in its own order. */
function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, field]) => field !== undefined)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, field]) => [key, ordered(field)]),
  );
}
