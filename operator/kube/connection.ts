import type { KubeConfig } from '@kubernetes/client-node';
import type { RequestOptions } from 'node:https';
import process from 'node:process';

import { Agent, type Dispatcher, Pool, ProxyAgent } from 'undici';

import { proxyFromEnvironment } from './proxy.ts';

const CONNECT_TIMEOUT_MS = 10_000;

/**
 * Kept connections to one API server, with the credentials of a kubeconfig as client-node reads them: tokens, exec
 * plug-ins and certificates are asked for afresh at each call, and only another TLS identity makes another pool. They
 * go by the kubeconfig's proxy-url, else by the environment's proxy, as client-go's.
 */
export class Connection {
  readonly #config: KubeConfig;
  readonly #env: Readonly<Record<string, string | undefined>>;
  #agent: Dispatcher | undefined;
  #identity = '';

  constructor(config: KubeConfig, env: Readonly<Record<string, string | undefined>> = process.env) {
    this.#config = config;
    this.#env = env;
  }

  /** Base URL of the API server, without a slash at its end. */
  get server(): string {
    return (this.#config.getCurrentCluster()?.server ?? '').replace(/\/+$/, '');
  }

  /** What the next call is to be made with. Rejects when the credentials can't be had. */
  async credentials(): Promise<{ agent: Dispatcher; headers: Record<string, string | string[]> }> {
    const options: RequestOptions = {};
    await this.#config.applyToHTTPSOptions(options);
    const tls = Object.fromEntries(
      Object.entries({
        ca: options.ca,
        cert: options.cert,
        key: options.key,
        rejectUnauthorized: options.rejectUnauthorized,
        servername: options.servername,
      }).filter(([, value]) => value !== undefined),
    );
    const proxy = this.#config.getCurrentCluster()?.proxyUrl || proxyFromEnvironment(this.server, this.#env);
    const identity = [...Object.entries(tls), proxy].map(String).join('\0');
    if (!this.#agent || identity !== this.#identity) {
      void this.#agent?.close();
      this.#agent = agentFor(tls, proxy);
      this.#identity = identity;
    }
    const headers: Record<string, string | string[]> = {};
    for (const [name, value] of Object.entries(options.headers ?? {})) {
      headers[name] = Array.isArray(value) ? value.map(String) : String(value);
    }
    if (options.auth) headers['authorization'] = `Basic ${Buffer.from(options.auth).toString('base64')}`;
    return { agent: this.#agent, headers };
  }

  /** Ends every call that is under way. */
  async close(): Promise<void> {
    const agent = this.#agent;
    this.#agent = undefined;
    await agent?.destroy();
  }
}

function agentFor(tls: object, proxy: string | undefined): Dispatcher {
  const socket = { keepAlive: true, keepAliveInitialDelay: 15_000, timeout: CONNECT_TIMEOUT_MS };
  // One lost connection must not cut every watch and call at once.
  const allowH2 = false;
  if (proxy === undefined) return new Agent({ allowH2, connect: { ...tls, ...socket } });
  return new ProxyAgent({
    uri: proxy,
    allowH2,
    requestTls: { ...tls, allowH2, timeout: CONNECT_TIMEOUT_MS },
    proxyTls: { ...socket, allowH2 },
    // Of a proxy that takes the call and says nothing.
    clientFactory: (origin, options) => new Pool(origin, { ...options, headersTimeout: CONNECT_TIMEOUT_MS }),
  });
}
