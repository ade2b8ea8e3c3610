import type { ApiClient } from './api-client.ts';
import type { Pod } from './resources.ts';

export interface TokenSource {
  /** A service account token bound to the pod, with most of its life before it. `audience` undefined: the API server. */
  token(pod: Pod, audience: string | undefined, expirationSeconds: number): Promise<string>;
}

interface Held {
  token: string;
  /** ms since the epoch: 80 % of its life, as the kubelet's token manager has it. */
  refreshAt: number;
}

/** Service account tokens by TokenRequest, kept until they are due for another. */
export class TokenCache implements TokenSource {
  readonly #client: ApiClient;
  readonly #held = new Map<string, Map<string, Held>>();

  constructor(client: ApiClient) {
    this.#client = client;
  }

  async token(pod: Pod, audience: string | undefined, expirationSeconds: number): Promise<string> {
    const { uid, name, namespace } = pod.metadata;
    const key = JSON.stringify([audience, expirationSeconds]);
    const held = this.#held.get(uid)?.get(key);
    if (held && Date.now() < held.refreshAt) return held.token;

    const account = pod.spec.serviceAccountName ?? 'default';
    const began = Date.now();
    const answer = await this.#client.request<{ status: { token: string; expirationTimestamp: string } }>(
      'POST',
      `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`,
      {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: {
          ...(audience === undefined ? {} : { audiences: [audience] }),
          expirationSeconds,
          boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
        },
      },
    );
    const life = Date.parse(answer.status.expirationTimestamp) - began;
    const tokens = this.#held.get(uid) ?? new Map<string, Held>();
    tokens.set(key, { token: answer.status.token, refreshAt: began + life * 0.8 });
    this.#held.set(uid, tokens);
    return answer.status.token;
  }

  /** When the pod's next token is due, in ms since the epoch; undefined when it has none. */
  dueAt(pod: Pod): number | undefined {
    const times = [...(this.#held.get(pod.metadata.uid)?.values() ?? [])].map((held) => held.refreshAt);
    return times.length > 0 ? Math.min(...times) : undefined;
  }

  forget(pod: Pod): void {
    this.#held.delete(pod.metadata.uid);
  }
}
