import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import process from 'node:process';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import type { NodeOptions } from '../../../local/cluster/node-agent/node.ts';
import type { RelayStatus } from '../../../operator/api/status.ts';
import type { KubeObject } from '../../../operator/kube/object.ts';
import { Resources, resourcePath } from '../../../operator/kube/resource.ts';
import { ADMIN_TOKEN, example, fleetOf, IMAGES, OperatorCluster } from './operator-cluster.ts';
import { until } from './until.ts';

/** The long form is ten minutes: WAVRY_IDLE_SECONDS=600. */
const IDLE_MS = Number(process.env['WAVRY_IDLE_SECONDS'] ?? 35) * 1000;
/** What the tests before may leave to be written. */
const SETTLING_MS = 90_000;

interface Deployment extends KubeObject {
  readonly spec: object;
}

/** Sessions of the tests' peers end with them, so that a drain is a matter of seconds. */
const BRIEF = { sessions: { idleTimeout: '5s', leaseDuration: '10s' } };

/** The API server hands quantities out in a form of its own: the autoscaler's target is 7k sessions. */
const THOUSANDS = { limits: { maxSessions: 10_000 } };

suite('the operator as its chart installs it', () => {
  let operator: OperatorCluster;

  before(async () => {
    const node = (number: number): NodeOptions => ({
      name: `node-${number}`,
      externalAddress: `198.19.0.${number}`,
      labels: { 'node-role.wavry.dev/relay': '' },
      capacity: { cpu: '32', memory: '64Gi' },
    });
    operator = await OperatorCluster.start({
      nodes: [node(1), node(2), node(3)],
      images: { ...IMAGES, 'test/simulated': { simulated: true } },
      auditLog: true,
    });
    await Promise.all([operator.startMaster(), operator.installOperator()]);
    await operator.apply({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'wavry-master', namespace: 'default' },
      stringData: { token: 'unused', 'admin-token': ADMIN_TOKEN },
    });
  });
  after(async () => {
    await operator.stop();
  });

  test('kubectl explain tells what each field is', async () => {
    const text = await operator.cluster.kubectl(['explain', 'wavryrelay.spec.exposure.portRange']);
    assert.match(text, /UDP ports of the node that HostPort and HostNetwork take/);
    assert.match(await operator.cluster.kubectl(['explain', 'wr.spec.drain']), /timeout\s+<string>/);
  });

  test('every example, and every exposure: all relays register, forward, and lose nothing', async () => {
    const names = ['laptop', 'bare-metal', 'cloud', 'autoscaling'] as const;
    const fleets = [
      ...names.map((name) =>
        example(name, (spec) => Object.assign(spec, BRIEF, name === 'autoscaling' && THOUSANDS)),
      ),
      fleetOf('node-port', { ...BRIEF, exposure: { type: 'NodePort' } }),
      fleetOf('host-network', {
        ...BRIEF,
        replicas: 2,
        exposure: { type: 'HostNetwork', portRange: '5000-5001', addressType: 'InternalIP' },
      }),
    ];
    await operator.apply(...fleets);
    await until(
      'the autoscaler to raise its fleet to the minimum',
      async () => (await operator.fleet('ap-south')).spec.replicas === 2,
    );
    const relays: RelayStatus[] = [];
    for (const fleet of fleets) relays.push(...(await operator.whenServing(fleet.metadata.name)));
    assert.equal(relays.length, 2 + 3 + 3 + 2 + 1 + 2);

    const registry = await operator.registry();
    for (const relay of relays) {
      const entry = registry.find((entry) => entry.relay_id === relay.relayId);
      assert.deepEqual(
        entry?.endpoints,
        [relay.endpoint],
        `${relay.name} is registered where its status says`,
      );
    }
    assert.equal(registry.length, relays.length);

    const report = await operator.peers('--sessions=36', '--rate=20', '--duration=4', '--bidirectional');
    assert.deepEqual(report.problems, []);
    assert.equal(report.packets.lost, 0);
    assert.ok(report.packets.received > 36 * 20);
    for (const relay of relays) {
      assert.ok((await forwarded(operator, relay)) > 0, `${relay.name} at ${relay.endpoint} forwards`);
    }
  });

  test('each exposure gives the address that it promises', async () => {
    const endpoints = async (name: string): Promise<string[]> =>
      (await operator.whenServing(name)).map((relay) => relay.endpoint ?? '');
    for (const endpoint of await endpoints('eu-west')) assert.match(endpoint, /^198\.19\.0\.[123]:40[01]\d$/);
    for (const endpoint of await endpoints('host-network'))
      assert.match(endpoint, /^198\.18\.[123]\.1:500[01]$/);
    for (const endpoint of await endpoints('node-port')) assert.match(endpoint, /^198\.19\.0\.[123]:3\d{4}$/);
    for (const endpoint of await endpoints('laptop')) assert.match(endpoint, /^198\.18\.[123]\.1\d\d:4000$/);
    for (const endpoint of await endpoints('us-east')) assert.match(endpoint, /^198\.19\.200\.\d+:4000$/);
    const all = [...(await endpoints('eu-west')), ...(await endpoints('ap-south'))];
    assert.equal(new Set(all).size, all.length, 'no two relays share an address and port');
  });

  const rest = { timeout: SETTLING_MS + IDLE_MS + 60_000 };
  test('the cluster is at rest: the operator writes nothing but its Lease', rest, async () => {
    // Counts that the peers left behind are written 30 s late at most (status-writer), so the window starts
    // anew at each write, and nothing that recurs within it gets through.
    const deadlineMs = Date.now() + SETTLING_MS + IDLE_MS;
    let since = auditedWrites(operator).length;
    let quietFromMs = Date.now();
    while (Date.now() - quietFromMs < IDLE_MS) {
      await sleep(1000);
      const writes = auditedWrites(operator);
      const others = writes.slice(since).filter((write) => !write.endsWith(' leases/wavry-relay-operator'));
      if (others.length === 0) continue;
      assert.ok(Date.now() < deadlineMs, `the operator goes on writing: ${others.join(', ')}`);
      since = writes.length;
      quietFromMs = Date.now();
    }
    assert.ok(auditedWrites(operator).length - since > 3, 'the Lease is renewed');
  });

  test('kubectl get, describe and wait tell what a person wants to know', async () => {
    const table = await until('the count of sessions to be written', async () => {
      const text = await operator.cluster.kubectl(['get', 'wr', 'us-east']);
      assert.match(text, /us-east\s+3\s+3\s+0\s+300\s+us-east-1\s+Serving/);
      return text;
    });
    assert.match(table, /NAME\s+DESIRED\s+READY\s+SESSIONS\s+CAPACITY\s+REGION\s+STATUS\s+AGE/);
    assert.match(await operator.cluster.kubectl(['get', 'wavry']), /laptop/);
    const description = await operator.cluster.kubectl(['describe', 'wr', 'laptop']);
    assert.match(description, /Ready\n/);
    assert.match(description, /Normal\s+RelayCreated\s+.*laptop-[0-9a-f]{8}-0 is added/);
    await operator.cluster.kubectl(['wait', 'wr/laptop', '--for=condition=Ready', '--timeout=10s']);
  });

  test('kubectl scale adds relays, and takes the idle one away without a lost packet', async () => {
    await operator.cluster.kubectl(['scale', 'wr/laptop', '--replicas=3']);
    await operator.cluster.kubectl([
      'wait',
      'wr/laptop',
      '--for=jsonpath={.status.readyReplicas}=3',
      '--timeout=60s',
    ]);
    const peers = operator.peers('--sessions=6', '--rate=20', '--duration=8', '--bidirectional');
    await operator.cluster.kubectl(['scale', 'wr/laptop', '--replicas=2']);
    const report = await peers;
    assert.deepEqual(report.problems, []);
    assert.equal(report.packets.lost, 0);
    await operator.whenServing('laptop');
    await operator.whenEvent('laptop', 'DrainStarted', /drains \d+ sessions/);
    await operator.whenEvent('laptop', 'DrainFinished', /is empty and goes/);
    const { stdout: scale } = {
      stdout: await operator.cluster.kubectl(['get', 'wr/laptop', '--subresource=scale', '-o', 'json']),
    };
    const { spec, status } = JSON.parse(scale) as { spec: object; status: object };
    assert.deepEqual([spec, status], [{ replicas: 2 }, { replicas: 2, selector: 'wavry.dev/fleet=laptop' }]);
  });

  test('an edit rolls the fleet over under live peers: nothing lost, never fewer relays than asked', async () => {
    const before = await operator.whenServing('laptop');
    const peers = operator.peers('--sessions=6', '--rate=20', '--duration=10', '--bidirectional');
    await operator.cluster.kubectl([
      'patch',
      'wr/laptop',
      '--type=merge',
      '--patch={"spec":{"restartedAt":"2026-01-01T00:00:00Z"}}',
    ]);
    let least = Infinity;
    const watching = new AbortController();
    const watch = (async () => {
      while (!watching.signal.aborted) {
        const ready = (await operator.fleet('laptop').catch(() => undefined))?.status?.readyReplicas;
        if (ready !== undefined) least = Math.min(least, ready);
        await sleep(100);
      }
    })();
    const report = await peers;
    const relays = await operator.whenServing('laptop');
    watching.abort();
    await watch;
    assert.deepEqual(report.problems, []);
    assert.equal(report.packets.lost, 0);
    assert.ok(least >= 2, `${least} of 2 relays served at the worst`);
    const old = new Set(before.map((relay) => relay.name));
    assert.ok(relays.every((relay) => !old.has(relay.name)));
  });

  test('what somebody else changes in a relay is put back, with the way to do it right', async () => {
    // Nothing has to start or drain here.
    await operator.apply(fleetOf('still', { image: 'test/simulated:1' }));
    const name = await until(
      'its relay',
      async () => (await operator.fleet('still')).status?.relays?.[0]?.name,
    );
    const deployment = (): Promise<Deployment> =>
      operator.client.get<Deployment>(Resources.deployments, 'default', name);
    const before = (await deployment()).spec;
    for (const change of [
      ['scale', `deployment/${name}`, '--replicas=2'],
      ['set', 'image', `deployment/${name}`, 'relay=elsewhere/relay:9'],
      ['rollout', 'restart', `deployment/${name}`],
      [
        'patch',
        `deployment/${name}`,
        '--type=json',
        '--patch=[{"op":"remove","path":"/spec/template/spec/containers/0/resources"}]',
      ],
    ]) {
      const { generation = 0 } = (await deployment()).metadata;
      await operator.cluster.kubectl(change);
      await until(`${change.join(' ')} to be put back`, async () => {
        const { metadata, spec } = await deployment();
        assert.deepEqual(spec, before);
        return (metadata.generation ?? 0) >= generation + 2;
      });
    }
    await operator.whenEvent(
      'still',
      'ForeignChangeReverted',
      /kubectl.* is put back: .* set spec\.restartedAt/,
    );
    const { generation } = (await deployment()).metadata;
    await sleep(2000);
    assert.equal((await deployment()).metadata.generation, generation, 'put back once, not for ever');
    await operator.deleteFleet('still');
  });

  test('objects that the spec no longer asks for go, those of others stay', async () => {
    const keys = { publicKeys: ['ab'.repeat(32)] };
    await operator.apply(fleetOf('keyed', { replicas: 0, master: keys }));
    await operator.cluster.kubectl(['wait', 'wr/keyed', '--for=condition=Ready', '--timeout=60s']);
    assert.ok(await operator.find(Resources.configMaps, 'default', 'keyed-master-keys'));
    await operator.apply(fleetOf('keyed', { replicas: 0 }));
    await until(
      'its keys to go',
      async () => !(await operator.find(Resources.configMaps, 'default', 'keyed-master-keys')),
    );
    assert.ok(await operator.find(Resources.configMaps, 'default', 'kube-root-ca.crt'));
    await operator.deleteFleet('keyed');
  });

  test('kubectl delete leaves nothing: no object, no process', async () => {
    const names = (await operator.list(Resources.wavryRelays)).map((fleet) => fleet.metadata.name);
    assert.ok(names.length >= 6);
    const ids = (await Promise.all(names.map((name) => operator.whenServing(name))))
      .flat()
      .map((relay) => relay.relayId!);
    assert.equal(runningRelays(ids).length, ids.length);
    await operator.cluster.kubectl(['delete', 'wr', '--all']);
    for (const name of names) {
      await until(`nothing to be left of ${name}`, async () => {
        const left = await operator.leftovers(name);
        if (left.length > 0) throw new Error(left.join(', '));
        return true;
      });
    }
    await until('every process to have ended', () => runningRelays(ids).length === 0);
    await until('the operator to have seen it', async () => {
      const metrics = await operatorMetrics(operator);
      assert.doesNotMatch(
        metrics,
        /wavry_operator_fleet_sessions\{/,
        'and no metric of a fleet that is gone',
      );
      assert.match(metrics, /leader_election_master_status\{name="wavry-relay-operator"\} 1/);
      assert.match(metrics, /workqueue_depth\{name="wavryrelay"\} 0/);
      assert.match(metrics, /rest_client_requests_total\{method="PATCH",code="200"\} \d/);
      return true;
    });
  });

  test('its rights were enough: nothing was forbidden, and nothing failed', async () => {
    const log = await operator.operatorLog();
    const complaints = log
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as { level: string; message: string; fleet?: string; reason?: string })
      .filter(({ level, fleet }) => level !== 'info' && fleet !== 'default/still')
      .filter(({ reason = '' }) => !SLOW.has(reason));
    assert.deepEqual(complaints, []);
    assert.doesNotMatch(log, /forbidden/i);
  });
});

/** What is told of relays and of an autoscaler that take long, as they may on a busy machine. */
const SLOW: ReadonlySet<string> = new Set([
  'Starting',
  'NotReady',
  'NotRegistered',
  'Unreachable',
  'OutOfBounds',
  'FailedGetScale',
  'FailedGetObjectMetric',
]);

async function forwarded(operator: OperatorCluster, relay: RelayStatus): Promise<number> {
  const pod = await operator.client.get<
    KubeObject & { spec: { containers: { ports: { name: string; containerPort: number }[] }[] } }
  >(Resources.pods, 'default', relay.pod!);
  const port = pod.spec.containers[0]!.ports.find((entry) => entry.name === 'health')!.containerPort;
  const path = resourcePath(Resources.pods, 'default', `${relay.pod}:${port}`, 'proxy/health');
  const answer = await operator.client.call<{ metrics: { packets_forwarded: number } }>('GET', path);
  return answer.metrics.packets_forwarded;
}

/** Which of these relays run as processes of this machine. */
function runningRelays(ids: readonly string[]): string[] {
  const environments = readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'utf8');
      } catch {
        return ''; // It has ended, or is another user's.
      }
    });
  return ids.filter((id) => environments.some((text) => text.includes(`WAVRY_RELAY_ID=${id}`)));
}

function operatorMetrics(operator: OperatorCluster): Promise<string> {
  return (async () => {
    const [pod] = await operator.list<KubeObject & { status: { podIP: string } }>(
      Resources.pods,
      'wavry-system',
    );
    return operator.fetch(`http://${pod!.status.podIP}:8080/metrics`);
  })();
}

/** `verb resource/name` of everything that the operator wrote, from the API server's audit log. */
function auditedWrites(operator: OperatorCluster): string[] {
  return operator
    .auditLines()
    .map(
      (line) =>
        JSON.parse(line) as {
          verb: string;
          stage: string;
          userAgent?: string;
          objectRef?: { resource: string; name?: string; subresource?: string };
        },
    )
    .filter(
      ({ userAgent, verb, stage, objectRef }) =>
        userAgent?.startsWith('wavry-relay-operator') === true &&
        stage === 'ResponseComplete' &&
        !['get', 'list', 'watch'].includes(verb) &&
        // A question, whether somebody who asks for metrics may.
        objectRef?.resource !== 'subjectaccessreviews',
    )
    .map(({ verb, objectRef }) => `${verb} ${objectRef?.resource}/${objectRef?.name}`);
}
