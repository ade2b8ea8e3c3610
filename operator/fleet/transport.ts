import { Agent, request } from 'undici';

import type { KubeClient } from '../kube/client.ts';
import { resourcePath, Resources } from '../kube/resource.ts';

export interface PollTarget {
  readonly uid: string;
  /** The WavryRelay it belongs to, `namespace/name`. */
  readonly fleet: string;
  readonly namespace: string;
  readonly name: string;
  readonly ip: string;
  readonly port: number;
}

/** Fetches a page of a relay; resolves with its text whatever the status, as an unhealthy relay answers 500. */
export type RelayTransport = (target: PollTarget, page: RelayPage, signal: AbortSignal) => Promise<string>;

export type RelayPage = 'health' | 'metrics';

const MAX_ANSWER_BYTES = 64 * 1024;

/** Straight to the pod, over connections that are kept: the operator runs in the cluster. */
export function directTransport(): { transport: RelayTransport; close: () => Promise<void> } {
  const agent = new Agent({
    connections: 1,
    pipelining: 1,
    keepAliveTimeout: 30_000,
    connect: { timeout: 2000 },
  });
  const transport: RelayTransport = async (target, page, signal) => {
    const host = target.ip.includes(':') ? `[${target.ip}]` : target.ip;
    const response = await request(`http://${host}:${target.port}/${page}`, { dispatcher: agent, signal });
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of response.body) {
      size += (chunk as Buffer).length;
      if (size > MAX_ANSWER_BYTES) throw new Error(`/${page} answered more than 64 KiB`);
      chunks.push(chunk as Buffer);
    }
    return Buffer.concat(chunks).toString('utf8');
  };
  return { transport, close: () => agent.destroy() };
}

/** Through the API server's pod proxy: the operator runs outside the cluster. */
export function proxyTransport(client: KubeClient): RelayTransport {
  return async (target, page, signal) => {
    const path = resourcePath(
      Resources.pods,
      target.namespace,
      `${target.name}:${target.port}`,
      `proxy/${page}`,
    );
    const { status, text } = await client.text(path, { signal, maxBytes: MAX_ANSWER_BYTES });
    // 200 and 500 are the relay's own; the API server has others for a pod that it can't reach.
    if (status === 200 || status === 500) return text;
    throw new Error(`the API server's proxy answers with HTTP status ${status}`);
  };
}
