import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';

import { stringify } from 'yaml';

import { loadKubeConfig } from '../../../operator/controller/kubeconfig.ts';

suite('which cluster the operator looks after', () => {
  const home = mkdtempSync(join(tmpdir(), 'kubeconfig-'));
  after(() => rmSync(home, { recursive: true }));
  const nowhere = { kubeconfig: undefined, context: undefined };

  /** A kubeconfig with these contexts, the first being the current one. */
  function write(path: string, ...names: readonly string[]): string {
    const file = join(home, path);
    writeFileSync(
      file,
      stringify({
        apiVersion: 'v1',
        kind: 'Config',
        'current-context': names[0],
        clusters: names.map((name) => ({ name, cluster: { server: `https://${name}.example.com` } })),
        contexts: names.map((name) => ({
          name,
          context: { cluster: name, user: 'u', namespace: `ns-${name}` },
        })),
        users: [{ name: 'u', user: {} }],
      }),
    );
    return file;
  }

  function server(options: Parameters<typeof loadKubeConfig>[0], env: Record<string, string>): string {
    return loadKubeConfig(options, { HOME: home, ...env }).kubeConfig.getCurrentCluster()!.server;
  }

  test('the file that is named, then KUBECONFIG, then that of the home directory', () => {
    assert.throws(() => server(nowhere, {}), /no cluster is configured; give --kubeconfig/);
    mkdirSync(join(home, '.kube'));
    write('.kube/config', 'at-home');
    assert.equal(server(nowhere, {}), 'https://at-home.example.com');
    const KUBECONFIG = write('variable', 'by-variable');
    assert.equal(server(nowhere, { KUBECONFIG }), 'https://by-variable.example.com');
    const kubeconfig = write('flag', 'by-flag');
    assert.equal(server({ ...nowhere, kubeconfig }, { KUBECONFIG }), 'https://by-flag.example.com');
    assert.equal(server(nowhere, { KUBECONFIG: '' }), 'https://at-home.example.com', 'empty is absent');
  });

  test('a context of it, with its namespace', () => {
    const kubeconfig = write('two', 'first', 'second');
    const { namespace, inCluster } = loadKubeConfig({ kubeconfig, context: 'second' }, {});
    assert.deepEqual([namespace, inCluster], ['ns-second', false]);
    assert.throws(
      () => loadKubeConfig({ kubeconfig, context: 'third' }, {}),
      /^Error: --context: the kubeconfig has no context "third"; it has first, second$/,
    );
  });

  for (const [what, text] of [
    ['a file that isn’t there', undefined],
    ['no YAML', 'token: a-secret\n  {'],
    ['something else', '- a list'],
  ] as const)
    test(`${what} is told with where it was named`, () => {
      const kubeconfig = join(home, `bad-${text === undefined}`);
      if (text !== undefined) writeFileSync(kubeconfig, text);
      assert.throws(
        () => loadKubeConfig({ kubeconfig, context: undefined }, {}),
        ({ message }: Error) => /^[^\n]*kubeconfig[^\n]*$/.test(message) && !message.includes('a-secret'),
      );
    });
});
