import assert from 'node:assert/strict';
import { type ChildProcess, execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import process from 'node:process';
import { Writable } from 'node:stream';
import { after, before, suite, test } from 'node:test';

import { parse } from 'yaml';

import { complete } from '../../../operator/kubectl/complete.ts';
import { run } from '../../../operator/kubectl/run.ts';
import { fleetOf, MASTER_URL, OperatorCluster, ROOT } from './operator-cluster.ts';
import { until } from './until.ts';

interface Answer {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

suite('kubectl wavry, called by the real kubectl', () => {
  let operator: OperatorCluster;
  const bin = mkdtempSync(join(tmpdir(), 'kubectl-wavry-'));

  function kubectl(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Answer> {
    // Not this process's own: npm puts the plugin of this checkout there as well, and kubectl warns of a second one.
    const PATH = [bin, dirname(process.execPath), '/usr/bin', '/bin'].join(delimiter);
    return new Promise((resolve) => {
      execFile(
        operator.cluster.binaries.kubectl,
        args,
        { env: { ...process.env, KUBECONFIG: operator.cluster.kubeconfig, PATH, ...env } },
        (error, out, err) => resolve({ code: error ? Number(error.code) : 0, out, err }),
      );
    });
  }
  /** The same in this process: a further one for each call would take most of the time. */
  async function wavry(...args: readonly string[]): Promise<Answer> {
    return inProcess(args, operator.cluster.kubeconfig);
  }
  const relayNames = async (name: string): Promise<string[]> =>
    ((await operator.fleet(name)).status?.relays ?? []).map((relay) => relay.name);
  const column = (text: string, heading: string): string[] => {
    const [head, ...rows] = text.trimEnd().split('\n');
    const at = head!.split(/ {3,}/).indexOf(heading);
    return rows.map((row) => row.split(/ {3,}/)[at]!);
  };

  before(async () => {
    for (const name of ['kubectl-wavry', 'kubectl_complete-wavry']) {
      symlinkSync(join(ROOT, 'operator/kubectl/bin', `${name}.js`), join(bin, name));
    }
    operator = await OperatorCluster.start();
    await Promise.all([operator.startMaster(), operator.installOperator()]);
    const sessions = { idleTimeout: '5s', leaseDuration: '10s' };
    await operator.apply(
      fleetOf('eu', { replicas: 2, region: 'eu-west-1', sessions }),
      fleetOf('broken', { image: 'no.such/image:1' }),
      role('viewer', [{ apiGroups: ['wavry.dev'], resources: ['wavryrelays'], verbs: ['get', 'list'] }]),
      role('drainer', [{ apiGroups: ['apps'], resources: ['deployments'], verbs: ['get', 'patch'] }]),
      binding('viewer'),
      binding('drainer'),
    );
    await operator.whenServing('eu');
    await operator.whenCondition('broken', 'Ready', { reason: 'ImageUnavailable' });
  });
  after(async () => {
    await operator.stop();
    rmSync(bin, { recursive: true });
  });

  test('kubectl finds the plugin, without a warning', async () => {
    const { out, err } = await kubectl(['plugin', 'list']);
    assert.match(out, /kubectl-wavry/);
    assert.doesNotMatch(err, /warning/);
    assert.match((await kubectl(['wavry', '--help'])).out, /^Fleets of Wavry relays[\s\S]*drain RELAY/);
    assert.match((await wavry('version')).out, /^\d+\.\d+\.\d+\n$/);
  });

  test('status shows fleets, and with a name its relays', async () => {
    // A machine under load makes relays late with their answers, and the status says so.
    await until('both fleets to be shown as they are', async () => {
      const { code, out, err } = await kubectl(['wavry', 'status']);
      assert.deepEqual([code, err], [0, '']);
      assert.deepEqual(column(out, 'NAME'), ['broken', 'eu']);
      assert.deepEqual(column(out, 'READY'), ['0/1', '2/2']);
      assert.deepEqual(column(out, 'STATE'), ['ImageUnavailable', 'Serving']);
      assert.deepEqual(column(out, 'REGION'), ['<none>', 'eu-west-1']);
      assert.deepEqual(column(out, 'CAPACITY'), ['0', '100']);
      return true;
    });
    await until('the relays of one to be shown', async () => {
      const named = (await wavry('status', 'eu', '-o', 'wide')).out.split('\n\n');
      assert.deepEqual(column(named[0]!, 'UPDATED'), ['2/2']);
      assert.deepEqual(column(named[1]!, 'RELAY'), await relayNames('eu'));
      assert.deepEqual(column(named[1]!, 'STATE'), ['Serving', 'Serving']);
      return true;
    });
    const everywhere = (await wavry('status', '-A')).out;
    assert.deepEqual(column(everywhere, 'NAMESPACE'), ['default', 'default']);
    assert.match(
      (await wavry('status', '-n', 'kube-system')).err,
      /^No resources found in kube-system namespace\.$/m,
    );
  });

  test('-o json, yaml and name print what kubectl get does', async () => {
    await until('both to print the same', async () => {
      const theirs: unknown = JSON.parse((await kubectl(['get', 'wr', 'eu', '-o', 'json'])).out);
      assert.deepEqual(JSON.parse((await wavry('status', 'eu', '-o', 'json')).out), theirs);
      assert.deepEqual(parse((await wavry('status', 'eu', '-o=yaml')).out), theirs);
      return true;
    });
    const list = JSON.parse((await wavry('status', '-ojson')).out) as {
      kind: string;
      items: { kind: string }[];
    };
    assert.deepEqual(
      [list.kind, list.items.map((item) => item.kind)],
      ['List', ['WavryRelay', 'WavryRelay']],
    );
    assert.equal((await wavry('status', '-o', 'name')).out, (await kubectl(['get', 'wr', '-o', 'name'])).out);
  });

  test('why says what is wrong, what to do, and that all is well', async () => {
    const broken = (await wavry('why', 'broken')).out;
    assert.match(broken, /^broken is not ready: 0 of 1 relays serve/);
    assert.match(
      broken,
      /What stands in the way:\n {2}ImageUnavailable \(broken-\w+-0\)\n {4}pod .*correct spec\.image/,
    );
    assert.match(broken, /Conditions:\n {2}TYPE +STATUS/);
    assert.match(broken, /Events:\n {2}LAST SEEN[\s\S]*RelayCreated/);
    await until('eu to be well', async () => {
      const eu = (await wavry('why', 'eu')).out;
      assert.match(eu, /^eu is well: 2 of 2 relays serve, 0 sessions of 100\.$/m);
      assert.doesNotMatch(eu, /stands in the way/);
      return true;
    });
    const told = JSON.parse((await wavry('why', 'broken', '-o', 'json')).out) as {
      blockers: { reason: string }[];
    };
    assert.equal(told.blockers[0]?.reason, 'ImageUnavailable');
    const [relay] = await relayNames('eu');
    await until('a relay of eu to be told of', async () => {
      assert.match((await wavry('why', relay!)).out, new RegExp(`^${relay} is serving on node node-\\d`));
      return true;
    });
  });

  test('each verb needs the rights it names, and no more', async () => {
    const [relay] = await relayNames('eu');
    for (const verb of ['status', 'sessions']) {
      assert.equal((await wavry(verb, '--as=viewer')).code, 0);
      assert.equal((await wavry(verb, 'eu', '--as=nobody', '--as-group=a', '--as-group=viewers')).code, 0);
    }
    const why = await wavry('why', 'eu', '--as=viewer');
    assert.equal(why.code, 0);
    assert.match(why.out, /^Events: events is forbidden: User "viewer" cannot list/m);
    const refused = await wavry('drain', relay!, '--as=viewer');
    assert.equal(refused.code, 1);
    assert.match(
      refused.err,
      /^Error from server \(Forbidden\): deployments\.apps .* is forbidden: User "viewer"/,
    );
    const dry = await wavry('drain', `relay/${relay}`, '--as=drainer', '--dry-run=server');
    assert.deepEqual([dry.code, dry.err], [0, '']);
    assert.match(dry.out, /is asked to drain: .* \(server dry run\)\n$/);
    assert.equal((await wavry('drain', relay!, '--as=drainer', '--dry-run=client')).code, 0);
    assert.match((await wavry('undrain', relay!, '--as=drainer')).out, /is not asked to drain\n$/);
    assert.match(
      (await wavry('status', '--as=drainer')).err,
      /^Error from server \(Forbidden\): wavryrelays/,
    );
  });

  test('a relay drains by wish with its sessions, comes back, and goes once they have ended', async () => {
    const peers = operator.spawn('local/peers/main.ts', [
      `--master=${MASTER_URL}`,
      '--json',
      '--sessions=8',
      '--rate=20',
      '--duration=600',
      '--bidirectional',
    ]);
    const held = await until('both relays to hold sessions', async () => {
      const relays = (await operator.fleet('eu')).status?.relays ?? [];
      return relays.length === 2 && relays.every((relay) => (relay.sessions ?? 0) > 0) && relays;
    });
    await until('sessions to show what the status has', async () => {
      const shown = (await wavry('sessions', 'eu')).out;
      const relays = (await operator.fleet('eu')).status?.relays ?? [];
      assert.deepEqual(
        column(shown, 'SESSIONS').map(Number),
        relays.map((relay) => relay.sessions!).toSorted((a, b) => b - a),
      );
      assert.deepEqual(column(shown, 'CAPACITY'), ['50', '50']);
      return true;
    });

    const name = held[0]!.name;
    assert.match((await wavry('drain', name, '--as=drainer')).out, /is asked to drain: it does once a relay/);
    assert.match((await wavry('drain', name)).out, /was asked to drain already|drains already, since/);
    await until('it to drain', async () => {
      const relay = (await operator.fleet('eu')).status?.relays?.find((relay) => relay.name === name);
      return relay?.state === 'Draining';
    });
    await until('a further relay to serve in its place', async () => {
      return (await operator.fleet('eu')).status?.readyReplicas === 2;
    });
    assert.match(
      (await wavry('why', 'eu')).out,
      new RegExp(
        `Under way:\n[^]*${name} drains \\(somebody asked for it\\): \\d+ sessions are left, and it goes within \\d+[ms]`,
      ),
    );
    assert.match((await wavry('status', 'eu')).out, new RegExp(`${name} +Draining`));

    const back = await wavry('undrain', name);
    assert.match(back.out, /is no longer asked to drain\n$/);
    await until('the fleet to be as before', async () => {
      const names = await relayNames('eu');
      return names.length === 2 && names.includes(name);
    });
    await operator.whenServing('eu');

    const waiting = kubectl(['wavry', 'drain', name, '--wait', '--timeout=200s']);
    await until('it to drain again', async () => {
      const relay = (await operator.fleet('eu')).status?.relays?.find((relay) => relay.name === name);
      return relay?.state === 'Draining';
    });
    const report = await endOf(peers);
    assert.equal(report.packets.lost, 0);
    assert.deepEqual(report.sessions.failures, {});
    const { code, out, err } = await waiting;
    assert.deepEqual([code, err], [0, '']);
    assert.match(out, new RegExp(`relay/${name} is gone\n$`));
    await operator.whenServing('eu');
    assert.ok(!(await relayNames('eu')).includes(name));
  });

  test('the shell completes verbs, flags, fleets, relays and namespaces', async () => {
    const throughKubectl = async (...words: string[]): Promise<string> =>
      (await kubectl(['__complete', 'wavry', ...words])).out;
    assert.equal(await throughKubectl('un'), 'undrain\tTake relays back that were asked to drain\n:4\n');

    const names = async (...words: string[]): Promise<string[]> => {
      const text = await complete(words, { KUBECONFIG: operator.cluster.kubeconfig });
      return text
        .trimEnd()
        .split('\n')
        .map((line) => line.split('\t')[0]!);
    };
    // A cluster that takes too long to answer has no choices to offer.
    const offered = (words: string[], choices: readonly string[]): Promise<true> =>
      until(`${words.join(' ')} to be completed`, async () => {
        assert.deepEqual(await names(...words), [...choices, ':4']);
        return true;
      });
    await until('kubectl to complete eu', async () => (await throughKubectl('status', 'e')) === 'eu\n:4\n');
    await offered(['status', ''], ['broken', 'eu']);
    await offered(['status', 'eu', ''], ['broken']);
    await offered(['drain', 'eu'], await relayNames('eu'));
    await offered(['status', '-n', 'kube-n'], ['kube-node-lease']);
    assert.deepEqual(await names('why', 'eu', ''), [':4']);
    assert.deepEqual(await names('undrain', ''), [':4']);
    assert.deepEqual(await names('status', '-n', 'kube-system', ''), [':4']);
    assert.deepEqual(await names('status', '--as=nobody', ''), [':4'], 'no rights, no choices, no noise');
  });

  test('what can’t be done is said in one line, with the exit code kubectl has for it', async () => {
    const missing = await kubectl(['wavry', 'status', 'nope', 'eu']);
    assert.equal(missing.err, 'Error from server (NotFound): wavryrelays.wavry.dev "nope" not found\n');
    assert.match(missing.out, /^eu /m);
    assert.equal(missing.code, 1);

    const cases: [args: string[], err: RegExp, kubeconfig?: string][] = [
      [['why', 'nope'], /^Error from server \(NotFound\): wavryrelays\.wavry\.dev "nope" not found\n$/],
      [['drain', 'nope'], /^error: relay "nope" not found in namespace "default"; "kubectl wavry sessions/],
      [['drain', 'wavry-wavry-relay-operator', '-n', 'wavry-system'], /is no relay of a WavryRelay\n$/],
      [['why', 'eu-01234567-9'], /^error: eu has no relay "eu-01234567-9" any more; it has eu-/],
      [['status', '--context=nope'], /^error: context "nope" does not exist; the kubeconfig has /],
      [['status'], /^Unable to connect to the server: /, unreachable()],
    ];
    for (const [args, message, kubeconfig] of cases) {
      const { code, out, err } = await inProcess(args, kubeconfig ?? operator.cluster.kubeconfig);
      assert.match(err, message);
      assert.deepEqual([code, out], [1, ''], args.join(' '));
    }
  });

  test('a cluster without WavryRelays is told from one without any', async () => {
    await kubectl(['delete', 'wr', '--all', '--wait=true']);
    await kubectl(['delete', 'crd', 'wavryrelays.wavry.dev']);
    for (const args of [['status'], ['why', 'eu']]) {
      await until('the API server to forget the kind', async () =>
        /doesn't have a resource type "wavryrelays": install the chart/.test((await wavry(...args)).err),
      );
    }
  });

  function unreachable(): string {
    const file = join(bin, 'unreachable.yaml');
    const config = readFileSync(operator.cluster.kubeconfig, 'utf8');
    writeFileSync(file, config.replace(/https:\/\/127\.0\.0\.1:\d+/, 'https://127.0.0.1:9'));
    return file;
  }
});

async function endOf(
  peers: ChildProcess,
): Promise<{ packets: { lost: number }; sessions: { failures: object } }> {
  let text = '';
  peers.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  peers.stderr?.resume();
  peers.kill('SIGINT');
  await once(peers, 'close');
  return JSON.parse(text) as never;
}

async function inProcess(args: readonly string[], KUBECONFIG: string): Promise<Answer> {
  let [out, err] = ['', ''];
  const code = await run(
    args,
    { KUBECONFIG },
    sink((text) => (out += text)),
    sink((text) => (err += text)),
  );
  return { code, out, err };
}

function sink(take: (text: string) => void): Writable {
  return new Writable({
    write(chunk: Buffer, _, done) {
      take(chunk.toString());
      done();
    },
  });
}

function role(name: string, rules: readonly object[]): object {
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'Role',
    metadata: { name, namespace: 'default' },
    rules,
  };
}

/** For a user of the role's name, and for the group of its plural. */
function binding(name: string): object {
  const apiGroup = 'rbac.authorization.k8s.io';
  return {
    apiVersion: `${apiGroup}/v1`,
    kind: 'RoleBinding',
    metadata: { name, namespace: 'default' },
    roleRef: { apiGroup, kind: 'Role', name },
    subjects: [
      { apiGroup, kind: 'User', name },
      { apiGroup, kind: 'Group', name: `${name}s` },
    ],
  };
}
