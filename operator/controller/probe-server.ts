import { createServer, type Server } from 'node:http';

import express from 'express';
import type { Registry } from 'prom-client';

import { listen } from '../listen.ts';

export interface ProbeServerOptions {
  readonly host: string;
  readonly port: number;
  readonly registry: Registry;
  /** Why the process should be restarted, or undefined. */
  readonly unhealthy: () => string | undefined;
  /** Why it isn't ready, or undefined. */
  readonly unready: () => string | undefined;
}

/** /healthz, /readyz and /metrics. Rejects with a line that names the address when it can't listen. */
export async function startProbeServer(options: ProbeServerOptions): Promise<Server> {
  const app = express();
  app.disable('x-powered-by');
  app.get('/healthz', (_request, response) => {
    const problem = options.unhealthy();
    response
      .status(problem === undefined ? 200 : 500)
      .type('text/plain')
      .send(problem ?? 'ok');
  });
  app.get('/readyz', (_request, response) => {
    const problem = options.unready();
    response
      .status(problem === undefined ? 200 : 503)
      .type('text/plain')
      .send(problem ?? 'ok');
  });
  app.get('/metrics', async (_request, response) => {
    response.type(options.registry.contentType).send(await options.registry.metrics());
  });
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5000 }, app);
  server.maxConnections = 256;
  await listen(server, options, '--listen');
  return server;
}
