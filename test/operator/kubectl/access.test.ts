import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, test } from 'node:test';

import { openAccess, readKubeConfig } from '../../../operator/kubectl/access.ts';
import { accessFlags, readArguments } from '../../../operator/kubectl/arguments.ts';
import { CliError } from '../../../operator/kubectl/cli-error.ts';
import { complete } from '../../../operator/kubectl/complete.ts';

const folder = mkdtempSync(join(tmpdir(), 'kubectl-wavry-'));
after(() => rmSync(folder, { recursive: true }));

function kubeconfig(name: string, current: string, server: string): string {
  const file = join(folder, name);
  writeFileSync(
    file,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': current,
      clusters: [
        { name: 'shared', cluster: { server } },
        { name, cluster: { server } },
      ],
      users: [{ name: 'me', user: { token: server } }],
      contexts: [{ name, context: { cluster: 'shared', user: 'me', namespace: `of-${name}` } }],
    }),
  );
  return file;
}

const first = kubeconfig('first', '', 'https://first.example.com');
const second = kubeconfig('second', 'second', 'https://second.example.com');
const KUBECONFIG = [join(folder, 'missing'), first, second].join(delimiter);
const flags = accessFlags(() => undefined, false, []);

test('files of KUBECONFIG are merged as kubectl does: missing ones are passed over, the first one wins', () => {
  const config = readKubeConfig(undefined, { KUBECONFIG });
  assert.equal(config.getCurrentContext(), 'second', 'the first that names one');
  assert.equal(config.getCluster('shared')?.server, 'https://first.example.com');
  assert.deepEqual(
    config.getContexts().map((context) => context.name),
    ['first', 'second'],
  );
});

test('context, cluster and user are chosen by flags', async () => {
  const namespaces = [flags, { ...flags, context: 'first' }, { ...flags, kubeconfig: second }].map(
    (given) => openAccess(given, { KUBECONFIG }, 'test').namespace,
  );
  assert.deepEqual(namespaces, ['of-second', 'of-first', 'of-second']);
  for (const [wrong, message] of [
    [{ context: 'nope' }, /^context "nope" does not exist; the kubeconfig has first, second$/],
    [{ cluster: 'nope' }, /^cluster "nope" does not exist/],
    [{ user: 'nope' }, /^auth info "nope" does not exist/],
    [{ asGroups: ['g'] }, /give --as beside --as-uid and --as-group/],
    [{ certificateAuthority: '/nope' }, /^--certificate-authority: ENOENT/],
    [{ kubeconfig: '/nope' }, /^stat \/nope: no such file or directory/],
  ] as const) {
    assert.throws(
      () => openAccess({ ...flags, ...wrong }, { KUBECONFIG }, 'test'),
      (error: Error) => error instanceof CliError && message.test(error.message),
    );
  }
  assert.equal(await complete(['status', '--context', ''], { KUBECONFIG }), 'first\nsecond\n:4\n');
  assert.equal(
    await complete(['status', '--cluster=s'], { KUBECONFIG }),
    '--cluster=shared\n--cluster=second\n:4\n',
  );
});

test('flags say which server and as whom, with a kubeconfig and without', async () => {
  const seen: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    seen.push(request);
    if (!request.url?.includes('silent')) response.end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const ask = async (args: readonly string[], env: Record<string, string>, path: string): Promise<void> => {
    const line = readArguments([
      'status',
      '--insecure-skip-tls-verify',
      `--server=http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      ...args,
    ]);
    assert.ok(typeof line === 'object' && 'verb' in line);
    const access = openAccess(line.access, env, 'test');
    try {
      await access.client.call('GET', path);
    } finally {
      await access.close();
    }
  };
  try {
    await ask([], { KUBECONFIG }, '/kubeconfig');
    await ask(['--token=mine', '--as=x', '--as-uid=7'], { KUBECONFIG }, '/token');
    await ask(['--token=mine'], { HOME: '/nowhere' }, '/without');
    await assert.rejects(ask(['--request-timeout=2s'], { KUBECONFIG }, '/silent'), /GET \/silent: .*timeout/);
    assert.deepEqual(
      seen.map(({ url, headers }) => [
        url,
        headers.authorization,
        headers['impersonate-user'],
        headers['impersonate-uid'],
      ]),
      [
        ['/kubeconfig', 'Bearer https://first.example.com', undefined, undefined],
        ['/token', 'Bearer mine', 'x', '7'],
        ['/without', 'Bearer mine', undefined, undefined],
        ['/silent', 'Bearer https://first.example.com', undefined, undefined],
      ],
    );
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test('without a kubeconfig it says where it looked', () => {
  assert.throws(
    () => readKubeConfig(undefined, { HOME: folder }),
    /^CliError: no kubeconfig: .*\.kube\/config isn't there; set KUBECONFIG or give --kubeconfig$/,
  );
  const broken = join(folder, 'broken');
  writeFileSync(broken, ': {');
  assert.throws(() => readKubeConfig(broken, {}), /broken can't be read as a kubeconfig: [^\n]*$/);
});

test('completion needs no cluster for verbs and flags, and is silent without one', async () => {
  const env = { KUBECONFIG: join(folder, 'missing') };
  assert.match(await complete([''], env), /^status\tFleets at a glance\nsessions\t/);
  assert.equal(await complete(['drain', '--dry-r'], env), '--dry-run\tnone, client or server.\n:4\n');
  assert.equal(await complete(['status', '--dry-r'], env), ':4\n');
  assert.equal(await complete(['drain', '--dry-run=s'], env), '--dry-run=server\n:4\n');
  assert.equal(await complete(['status', '-o', 'j'], env), 'json\n:4\n');
  assert.equal(await complete(['status', '--kubeconfig', ''], env), ':0\n');
  assert.equal(await complete(['status', ''], env), ':4\n');
  assert.equal(await complete([], env), await complete([''], env));
});
