import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Lets the operator start, lead and end once while its image is built, so that the compile cache holds what it needs. The
 * cluster it sees is empty: every list is, watches stay silent, and what is written comes back.
 */
let lease: string | undefined;
const cluster = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://cluster');
  response.setHeader('content-type', 'application/json');
  if (searchParams.has('watch')) response.flushHeaders();
  else if (request.method === 'GET') answer(pathname, response);
  else {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => response.end((lease = Buffer.concat(parts).toString())));
  }
});
cluster.listen(0, '127.0.0.1');
await once(cluster, 'listening');

const kubeconfig = '/tmp/kubeconfig';
const server = `http://127.0.0.1:${(cluster.address() as AddressInfo).port}`;
writeFileSync(
  kubeconfig,
  JSON.stringify({
    'current-context': 'empty',
    contexts: [{ name: 'empty', context: { cluster: 'empty', user: 'nobody' } }],
    clusters: [{ name: 'empty', cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'nobody', user: {} }],
  }),
);

const operator = spawn(
  process.execPath,
  [
    '--import',
    '/app/images/preload.mjs',
    '/app/operator/main.ts',
    `--kubeconfig=${kubeconfig}`,
    '--listen=127.0.0.1:8080',
    '--lease-namespace=default',
    '--log-format=text',
  ],
  { stdio: ['ignore', 'inherit', 'inherit'] },
);
const ended = once(operator, 'exit').then(([code]) => (code as number | null) ?? 1);
const ready = async (): Promise<boolean> => {
  try {
    return (await fetch('http://127.0.0.1:8080/readyz')).ok;
  } catch {
    return false;
  }
};
while (operator.exitCode === null && !(await ready())) await sleep(100);
await fetch('http://127.0.0.1:8080/metrics').catch(() => {});
operator.kill('SIGTERM');
process.exit(await ended);

function answer(path: string, response: ServerResponse): void {
  const isLease = /\/leases\/[^/]+$/.test(path);
  if (isLease && lease === undefined) response.statusCode = 404;
  response.end(isLease ? (lease ?? '{}') : '{"metadata":{"resourceVersion":"1"},"items":[]}');
}
