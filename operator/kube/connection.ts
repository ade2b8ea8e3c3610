import type { KubeConfig } from '@kubernetes/client-node';
import type { RequestOptions } from 'node:https';
import { Agent } from 'undici';

/**
 * Kept connections to one API server, with the credentials of a kubeconfig as client-node reads them: tokens, exec
 * plug-ins and certificates are asked for afresh at each call, and only another TLS identity makes another pool.
 */
export class Connection {
  readonly #config: KubeConfig;
  #agent: Agent | undefined;
  #identity = '';

  constructor(config: KubeConfig) {
    this.#config = config;
  }

  /** Base URL of the API server, without a slash at its end. */
  get server(): string {
    return (this.#config.getCurrentCluster()?.server ?? '').replace(/\/+$/, '');
  }

  /** What the next call is to be made with. Rejects when the credentials can't be had. */
  async credentials(): Promise<{ agent: Agent; headers: Record<string, string | string[]> }> {
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
    const identity = Object.entries(tls).map(String).join('\0');
    if (!this.#agent || identity !== this.#identity) {
      void this.#agent?.close();
      this.#agent = new Agent({
        // One lost connection must not cut every watch and call at once.
        allowH2: false,
        connect: { ...tls, keepAlive: true, keepAliveInitialDelay: 15_000, timeout: 10_000 },
      });
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
