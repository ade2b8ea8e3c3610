import type { ApiClient } from './api-client.ts';
import type { Pod } from './resources.ts';

/** Writes the events `kubectl describe pod` shows; the same one at most once in ten seconds. */
export class EventRecorder {
  readonly #client: ApiClient;
  readonly #recent = new Map<string, number>();
  #number = 0;

  constructor(client: ApiClient) {
    this.#client = client;
  }

  record(pod: Pod, type: 'Normal' | 'Warning', reason: string, message: string): void {
    const { uid, name, namespace } = pod.metadata;
    const now = Date.now();
    const key = JSON.stringify([uid, reason, message]);
    if (now - (this.#recent.get(key) ?? 0) < 10_000) return;
    if (this.#recent.size >= 10_000) this.#recent.clear();
    this.#recent.set(key, now);
    const time = `${new Date(now).toISOString().slice(0, 19)}Z`;
    this.#client
      .request('POST', `/api/v1/namespaces/${namespace}/events`, {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { name: `${name}.${now.toString(16)}.${(this.#number++).toString(16)}`, namespace },
        involvedObject: { apiVersion: 'v1', kind: 'Pod', namespace, name, uid },
        type,
        reason,
        message: message.slice(0, 1024),
        firstTimestamp: time,
        lastTimestamp: time,
        count: 1,
        source: { component: 'kubelet', host: pod.spec.nodeName },
      })
      // An event is told once or not at all: the namespace may be going, the API server may be down.
      .catch(() => undefined);
  }
}
