import { setTimeout as delay } from 'node:timers/promises';
import { ApiError, STRATEGIC_MERGE, type ApiClient } from './api-client.ts';
import type { Pod, PodStatus } from './resources.ts';

interface Pending {
  pod: Pod;
  status: PodStatus | undefined;
  /** Delete the object once the status is written. */
  finalize: boolean;
  busy: boolean;
  /** The object's version after the last write. */
  version: string | undefined;
}

/** Writes pod statuses, the newest of each pod only, and tries again until the API server has taken them. */
export class StatusWriter {
  readonly #client: ApiClient;
  readonly #pending = new Map<string, Pending>();
  #paused: (pod: Pod) => boolean;

  /** @param paused whether the pod's node can't reach the API server at present */
  constructor(client: ApiClient, paused: (pod: Pod) => boolean) {
    this.#client = client;
    this.#paused = paused;
  }

  write(pod: Pod, status: PodStatus): void {
    const pending = this.#of(pod);
    pending.status = status;
    this.#kick(pending);
  }

  /** All processes of a pod that was deleted have ended: deletes the object for good. */
  finalize(pod: Pod): void {
    const pending = this.#of(pod);
    pending.finalize = true;
    this.#kick(pending);
  }

  /** Whether the pod's object, as seen, is from before the last write, or a write is still to come. */
  isAhead(pod: Pod): boolean {
    const pending = this.#pending.get(pod.metadata.uid);
    if (pending?.status) return true;
    return BigInt(pending?.version ?? 0) > BigInt(pod.metadata.resourceVersion ?? 0);
  }

  /** Goes on with what was held back. */
  resume(): void {
    for (const pending of this.#pending.values()) this.#kick(pending);
  }

  forget(pod: Pod): void {
    this.#pending.delete(pod.metadata.uid);
  }

  #of(pod: Pod): Pending {
    const known = this.#pending.get(pod.metadata.uid);
    if (known) return known;
    const fresh: Pending = { pod, status: undefined, finalize: false, busy: false, version: undefined };
    this.#pending.set(pod.metadata.uid, fresh);
    return fresh;
  }

  #kick(pending: Pending): void {
    if (!pending.busy) void this.#send(pending);
  }

  async #send(pending: Pending): Promise<void> {
    const { uid, name, namespace } = pending.pod.metadata;
    const path = `/api/v1/namespaces/${namespace}/pods/${name}`;
    pending.busy = true;
    let wait = 100;
    try {
      while (this.#pending.get(uid) === pending && !this.#paused(pending.pod)) {
        const { status } = pending;
        try {
          if (status) {
            // The UID makes it a conflict when another pod has taken the name.
            const body = { metadata: { uid }, status: { ...status, ...replaced(status) } };
            const answer = await this.#client.request<Pod>('PATCH', `${path}/status`, body, STRATEGIC_MERGE);
            pending.version = answer.metadata.resourceVersion;
            if (pending.status === status) pending.status = undefined;
          } else if (pending.finalize) {
            await this.#client.request('DELETE', path, { gracePeriodSeconds: 0, preconditions: { uid } });
            this.#pending.delete(uid);
          } else return;
          wait = 100;
        } catch (error) {
          if (error instanceof ApiError && (error.status === 404 || error.status === 409)) {
            this.#pending.delete(uid);
            return;
          }
          if (error instanceof ApiError && error.status === 422) {
            // A fault of the agent's: trying again wouldn't help. This goes to the supervisor's log.
            console.error(`the status of pod ${namespace}/${name} was refused: ${error.message}`);
            if (pending.status === status) pending.status = undefined;
            continue;
          }
          await delay(wait, undefined, { ref: false });
          wait = Math.min(wait * 2, 5000);
        }
      }
    } finally {
      pending.busy = false;
    }
  }
}

/** A strategic merge adds to these lists, so a pod with a new address would have two. */
function replaced({ podIPs, hostIPs }: PodStatus): object {
  const directive = { $patch: 'replace' };
  return {
    ...(podIPs ? { podIPs: [...podIPs, directive] } : {}),
    ...(hostIPs ? { hostIPs: [...hostIPs, directive] } : {}),
  };
}
