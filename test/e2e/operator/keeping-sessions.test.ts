import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import type { RelayListing } from '../../../local/master/dev-master.ts';
import type { PeersReport } from '../../../local/peers/report.ts';
import type { RelayStatus } from '../../../operator/api/status.ts';
import { isStatus } from '../../../operator/kube/kube-error.ts';
import type { KubeObject } from '../../../operator/kube/object.ts';
import { resourcePath, Resources } from '../../../operator/kube/resource.ts';
import { ADMIN_TOKEN, fleetOf, OperatorCluster } from './operator-cluster.ts';
import { until } from './until.ts';

/** Sessions end soon after their peers did, so that a drain is a matter of seconds. */
const BRIEF = { idleTimeout: '5s', leaseDuration: '10s' };
/** Some for one test alone: what befalls them is nobody else's business. */
const NODES = ['drained-0', 'drained-1', 'drained-2', 'lost-0', 'lost-1', 'calm-0'];

interface Pod extends KubeObject {
  readonly spec: { readonly nodeName?: string };
  readonly status: { readonly containerStatuses?: readonly { readonly restartCount: number }[] };
}

/** Everything that ends or changes relays under live sessions. Each fleet has a Master and peers of its own. */
suite('sessions are kept', { concurrency: 3 }, () => {
  let operator: OperatorCluster;

  before(async () => {
    operator = await OperatorCluster.start({
      nodes: NODES.map((name) => ({
        name,
        labels: { only: name.split('-')[0]! },
        ...(name.startsWith('calm')
          ? {}
          : { taints: [{ key: 'only', value: name.split('-')[0]!, effect: 'NoSchedule' }] }),
      })),
      nodeMonitorGracePeriod: 16,
    });
    await operator.installOperator();
    await operator.apply({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'admin', namespace: 'default' },
      stringData: { token: ADMIN_TOKEN },
    });
  });
  after(() => operator.stop());

  /** A Master of its own, and a fleet that registers there. */
  const start = async (
    name: string,
    port: number,
    spec: Readonly<Record<string, unknown>>,
    where = 'calm',
  ): Promise<string> => {
    const url = `http://198.18.0.1:${port}`;
    await operator.startMaster(url);
    await operator.apply(
      fleetOf(name, {
        sessions: BRIEF,
        drain: { timeout: '3m' },
        ...spec,
        master: {
          url,
          adminTokenFrom: { secretKeyRef: { name: 'admin', key: 'token' } },
          ...(spec['master'] as object | undefined),
        },
        pod: {
          nodeSelector: { only: where },
          tolerations: [{ key: 'only', operator: 'Exists' }],
          resources: { requests: { cpu: '10m' } },
        },
      }),
    );
    await operator.whenServing(name);
    return url;
  };
  const patch = (name: string, spec: object): Promise<string> =>
    operator.cluster.kubectl(['patch', `wr/${name}`, '--type=merge', `--patch=${JSON.stringify({ spec })}`]);
  const pods = (name: string): Promise<Pod[]> =>
    operator.list<Pod>(Resources.pods, 'default', `wavry.dev/fleet=${name}`);

  /** Peers that talk until they are stopped, once each relay has sessions. */
  const talk = async (
    url: string,
    ...args: readonly string[]
  ): Promise<{ readonly stop: () => Promise<PeersReport> }> => {
    const started = [`--master=${url}`, '--rate=10', '--bidirectional', '--duration=0', ...args];
    const { talking, stop } = operator.startPeers(...started);
    await talking;
    await until('sessions on each relay', async () => {
      const relays = await operator.registry(url);
      return relays.length > 0 && relays.every(({ load_pct }) => load_pct > 0);
    });
    return { stop };
  };
  const assertNothingLost = (report: PeersReport): void => {
    assert.deepEqual(report.problems, []);
    assert.equal(report.packets.lost, 0);
    assert.deepEqual(report.leases.rejects, {});
  };
  const whenState = (
    url: string,
    relayId: string,
    wanted: (state: RelayListing['state']) => boolean,
    what: string,
  ): Promise<RelayListing> =>
    until(`${relayId} to be ${what} at Master`, async () => {
      const entry = (await operator.registry(url)).find((relay) => relay.relay_id === relayId);
      if (!entry || !wanted(entry.state)) throw new Error(entry?.state ?? 'unknown');
      return entry;
    });

  test('Master’s keys rotate with an overlap: no restart, no rejected lease', async () => {
    const url = 'http://198.18.0.1:8101';
    await operator.startMaster(url);
    const old = (JSON.parse(await operator.fetch(`${url}/.well-known/wavry-id`)) as { public_key: string })
      .public_key;
    await operator.apply(
      fleetOf('keys', {
        replicas: 2,
        sessions: BRIEF,
        master: { url, publicKeys: [old] },
        pod: { nodeSelector: { only: 'calm' }, resources: { requests: { cpu: '10m' } } },
      }),
    );
    const relays = await operator.whenServing('keys');
    const { stop } = await talk(url, '--sessions=6', '--behaviour=renewing', '--renew-seconds=1');

    const next = JSON.parse(await operator.post(`${url}/dev/keys/next`)) as {
      public_key: string;
      key_id: string;
    };
    const whenPinned = async (count: number): Promise<void> => {
      for (const { pod } of relays) {
        await until(`${pod} to pin ${count} keys`, async () => {
          const lines = (await operator.cluster.kubectl(['logs', pod!, '--tail=-1'])).split('\n');
          const last = lines.findLast((line) => line.includes('has changed; pinned now:')) ?? '';
          return last.split('pinned now:')[1]?.split(',').length === count && last.includes(next.key_id);
        });
      }
    };
    await patch('keys', { master: { publicKeys: [old, next.public_key] } });
    await whenPinned(2);
    await operator.post(`${url}/dev/keys/rotate`);
    const newcomers = await operator.peers(`--master=${url}`, '--rate=10', '--sessions=4', '--duration=2');
    assertNothingLost(newcomers);
    await patch('keys', { master: { publicKeys: [next.public_key] } });
    await whenPinned(1);
    assertNothingLost(await operator.peers(`--master=${url}`, '--rate=10', '--sessions=4', '--duration=2'));
    assertNothingLost(await stop());
    assert.deepEqual(
      (await operator.whenServing('keys')).map(({ pod }) => pod),
      relays.map(({ pod }) => pod),
    );
    assert.ok((await pods('keys')).every((pod) => pod.status.containerStatuses?.[0]?.restartCount === 0));
    assert.match(await operator.cluster.kubectl(['logs', relays[0]!.pod!]), new RegExp(next.key_id));
    await operator.deleteFleet('keys');
  });

  test('Master hears which relays drain, again when its mark is gone, and which serve again', async () => {
    const url = await start('marks', 8102, { replicas: 2 });
    const { stop } = await talk(url, '--sessions=8');
    await patch('marks', { replicas: 1 });
    const going = await until('one to drain', async () =>
      (await operator.fleet('marks')).status?.relays?.find((relay) => relay.state === 'Draining'),
    );
    await operator.whenEvent(
      'marks',
      'DrainStarted',
      /drains \d+ sessions: 1 relay is asked for; (none holds fewer|it holds fewest)/,
    );
    assert.match(going.reason ?? '', /ScaleDown: fewer relays are wanted/);
    await whenState(url, going.relayId!, (state) => state === 'Draining', 'Draining');

    // A registration clears the mark (wire reference 4); here it is taken away by hand.
    await operator.cluster.exec('curl', [
      '--silent',
      '--fail',
      '--request',
      'POST',
      '--header',
      `authorization: Bearer ${ADMIN_TOKEN}`,
      '--header',
      'content-type: application/json',
      '--data',
      JSON.stringify({ relay_id: going.relayId, new_state: 'Active' }),
      `${url}/admin/api/relays/update_state`,
    ]);
    await whenState(url, going.relayId!, (state) => state === 'Draining', 'Draining again');

    await patch('marks', { replicas: 2 });
    await whenState(url, going.relayId!, (state) => state === 'Active', 'Active');
    await operator.whenEvent('marks', 'DrainTakenBack', /serves again, with the \d+ sessions that it kept/);
    const relays = await operator.whenServing('marks');
    assert.ok(
      relays.some(({ pod }) => pod === going.pod),
      'the same pod',
    );

    // Somebody ends the pod of the other one: it is replaced at once, and Master hears of it too.
    const other = relays.find(({ pod }) => pod !== going.pod)!;
    await operator.cluster.kubectl(['delete', 'pod', other.pod!, '--wait=false']);
    await whenState(url, other.relayId!, (state) => state === 'Draining', 'Draining while it ends');
    await operator.whenEvent(
      'marks',
      'PodEnding',
      new RegExp(`pod ${other.pod} .*another pod takes its place`),
    );
    await until('its replacement to serve beside it', async () => {
      const there = await pods('marks');
      const { status } = await operator.fleet('marks');
      return (
        there.some(({ metadata }) => metadata.name === other.pod) &&
        status?.readyReplicas === 2 &&
        status.relays?.every(({ pod }) => pod !== other.pod)
      );
    });
    assertNothingLost(await stop());
    await operator.deleteFleet('marks');
  });

  test('a rollout that is reverted half way takes its relays back', async () => {
    const url = await start('turning', 8103, { replicas: 3 });
    const before = (await operator.fleet('turning')).status?.relays?.map(({ name }) => name);
    const { stop } = await talk(url, '--sessions=9');
    await patch('turning', { restartedAt: '2026-01-01T00:00:00Z' });
    await operator.whenEvent('turning', 'RolloutStarted', /relays of revision \w+ give way to revision \w+/);
    await until(
      'one to drain',
      async () => ((await operator.fleet('turning')).status?.drainingReplicas ?? 0) > 0,
    );
    await patch('turning', { restartedAt: null });
    const relays = await operator.whenServing('turning');
    assertNothingLost(await stop());
    assert.deepEqual(
      relays.map(({ name }) => name),
      before,
    );
    await operator.whenEvent('turning', 'RolloutFinished', /./);
    await operator.deleteFleet('turning');
  });

  test('another type of exposure, twice: each relay keeps its address for as long as it is there', async () => {
    const url = await start('exposed', 8109, { replicas: 2, exposure: { type: 'LoadBalancer' } });
    const addresses = new Map<string, Set<string>>();
    let watching = true;
    const watch = (async () => {
      while (watching) {
        for (const { relay_id: relay, endpoints } of await operator.registry(url).catch(() => []))
          addresses.set(relay, (addresses.get(relay) ?? new Set()).add(endpoints.join(' ')));
        await sleep(200);
      }
    })();
    const move = async (exposure: object): Promise<void> => {
      const relays = async (): Promise<readonly RelayStatus[]> =>
        (await operator.fleet('exposed')).status?.relays ?? [];
      const before = new Map((await relays()).map(({ name, endpoint }) => [name, endpoint]));
      await patch('exposed', { exposure, rollout: { paused: true } });
      await operator.whenCondition('exposed', 'Progressing', { status: 'Unknown', reason: 'Paused' });
      for (const { name, endpoint } of await relays())
        assert.equal(endpoint, before.get(name), `${name}, while the rollout is held`);
      await patch('exposed', { rollout: { paused: false } });
      await until('relays of the new type to serve', async () => {
        const fresh = (await relays()).filter(({ name, state }) => !before.has(name) && state === 'Serving');
        return fresh.length === 2;
      });
    };
    try {
      const first = await talk(url, '--sessions=6');
      await move({ type: 'NodePort', addressType: 'InternalIP' });
      const second = await talk(url, '--sessions=6');
      await move({ type: 'HostPort', addressType: 'InternalIP' });
      assertNothingLost(await first.stop());
      assertNothingLost(await second.stop());
      assertNothingLost(await operator.peers(`--master=${url}`, '--rate=10', '--sessions=4', '--duration=2'));
    } finally {
      watching = false;
      await watch;
    }
    const seen = [...addresses.values()].map((of) => [...of].join(', '));
    assert.equal(seen.length, 6);
    for (const address of [
      /^198\.19\.\d+\.\d+:4000$/,
      /^198\.18\.\d+\.1:3\d{4}$/,
      /^198\.18\.\d+\.1:40[01]\d$/,
    ])
      assert.equal(seen.filter((text) => address.test(text)).length, 2, seen.join('; '));
    await operator.deleteFleet('exposed');
  });

  test(
    'kubectl drain, while three relays drain and one never becomes ready',
    { timeout: 600_000 },
    async () => {
      const exposure = {
        type: 'HostPort',
        addressType: 'InternalIP',
        portRange: '4300-4315',
        readyTimeout: '30s',
      };
      const url = await start(
        'moved',
        8104,
        { replicas: 4, exposure, rollout: { maxUnavailable: 1 } },
        'drained',
      );
      // The fifth finds its port taken on each node.
      const blocker = {
        nodeSelector: { only: 'drained' },
        tolerations: [{ key: 'only', operator: 'Exists' }],
        containers: [
          {
            name: 'blocker',
            image: 'nobody/pulls:this',
            ports: [{ containerPort: 4304, hostPort: 4304, protocol: 'UDP' }],
          },
        ],
      };
      const labels = { app: 'blocker' };
      await operator.apply({
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'blocker', namespace: 'default' },
        spec: {
          replicas: 3,
          selector: { matchLabels: labels },
          template: { metadata: { labels }, spec: blocker },
        },
      });
      await until('the port to be taken', async () => {
        const there = await operator.list<Pod>(Resources.pods, 'default', 'app=blocker');
        return there.filter((pod) => pod.spec.nodeName !== undefined).length === 3;
      });
      const { stop } = await talk(url, '--sessions=10');
      const before = (await operator.fleet('moved')).status?.relays?.map(({ name }) => name) ?? [];
      await patch('moved', { replicas: 5 });
      for (const name of before.slice(0, 3)) {
        await operator.cluster.kubectl(['annotate', `deployment/${name}`, 'wavry.dev/drain-requested=true']);
      }
      await until(
        'three to drain',
        async () => (await operator.fleet('moved')).status?.drainingReplicas === 3,
      );
      await until('the budget to leave the other out', async () => {
        const field = 'jsonpath={.spec.minAvailable} {.status.disruptionsAllowed}';
        return (await operator.cluster.kubectl(['get', 'pdb', 'moved-relay', '-o', field])) === '3 1';
      });
      const there = (await pods('moved')).filter((pod) => pod.spec.nodeName === 'drained-0');
      assert.ok(there.length >= 2, `${there.length} pods there`);
      const draining = operator.cluster.kubectl([
        'drain',
        'drained-0',
        '--ignore-daemonsets',
        '--delete-emptydir-data',
        '--timeout=150s',
      ]);
      draining.catch(() => undefined);
      await until('all of them to be evicted', async () =>
        (await pods('moved')).every(
          ({ spec, metadata }) => spec.nodeName !== 'drained-0' || metadata.deletionTimestamp !== undefined,
        ),
      );
      assertNothingLost(await stop());
      await draining;
      await operator.cluster.kubectl(['delete', 'deployment', 'blocker']);
      const relays = await operator.whenServing('moved');
      assert.ok(relays.every(({ node }) => node !== 'drained-0'));
      await operator.deleteFleet('moved');
    },
  );

  test('a fleet that is deleted in the middle of a rollout drains, and Master hears of it', async () => {
    const url = await start('deleted', 8107, { replicas: 2 });
    const { stop } = await talk(url, '--sessions=6');
    await patch('deleted', { restartedAt: '2026-01-01T00:00:00Z' });
    await until(
      'one to drain',
      async () => ((await operator.fleet('deleted')).status?.drainingReplicas ?? 0) > 0,
    );
    // Another that has only started goes at once.
    const busy = (await operator.registry(url)).filter(({ load_pct }) => load_pct > 0);
    await operator.deleteFleet('deleted');
    for (const { relay_id } of busy) {
      await whenState(url, relay_id, (state) => state === 'Draining', 'Draining');
    }
    await until('every pod to end', async () =>
      (await pods('deleted')).every(({ metadata }) => metadata.deletionTimestamp !== undefined),
    );
    assertNothingLost(await stop());
    await operator.whenGone('deleted');
  });

  test('a deleted fleet keeps its network policy until its last relay has gone', async () => {
    const url = await start('guarded', 8108, { replicas: 2 });
    const holders = async (): Promise<string[]> =>
      (
        await operator.list<KubeObject>(Resources.networkPolicies, 'default', 'wavry.dev/fleet=guarded')
      ).flatMap(({ metadata }) => (metadata.ownerReferences ?? []).map(({ kind }) => kind));
    await until('both pods to hold it', async () => (await holders()).length === 3);
    const { stop } = await talk(url, '--sessions=4');
    await operator.deleteFleet('guarded');
    await until('the garbage collector to have seen that the fleet is gone', async () => {
      const left = await holders();
      return left.length > 0 && !left.includes('WavryRelay');
    });
    assertNothingLost(await stop());
    await operator.whenGone('guarded');
  });

  test('the budget lets one relay go at a time', async () => {
    await start('budget', 8105, { replicas: 2, drain: { timeout: '30s' } });
    const evict = async (name: string): Promise<unknown> =>
      operator.client.call('POST', resourcePath(Resources.pods, 'default', name, 'eviction'), {
        body: { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace: 'default' } },
        // A 429 says when to try again; here it is the answer.
        signal: AbortSignal.timeout(5000),
      });
    await until('the budget to be in force', async () => {
      const budget = await operator.cluster.kubectl([
        'get',
        'pdb',
        'budget-relay',
        '-o',
        'jsonpath={.status.disruptionsAllowed}',
      ]);
      return budget === '1';
    });
    const [first, second] = await pods('budget');
    await evict(first!.metadata.name);
    await assert.rejects(evict(second!.metadata.name), (error) => isStatus(error, 429));
    await until('its place to be taken', async () => {
      const { status } = await operator.fleet('budget');
      return (
        status?.readyReplicas === 2 &&
        status.relays?.every(({ pod }) => pod !== first!.metadata.name) === true
      );
    });
    await until('the other to be let go', () => evict(second!.metadata.name).then(() => true));
    await operator.whenServing('budget');
    await operator.deleteFleet('budget');
  });

  test('a node that is not heard of is stood in for, and its sessions go on', async () => {
    const url = await start('stranded', 8106, { replicas: 2 }, 'lost');
    const before = await operator.whenServing('stranded');
    const { stop } = await talk(url, '--sessions=6');
    const node = before[0]!.node!;
    await operator.cluster.setNodeState(node, 'disconnected');
    await operator.whenEvent('stranded', 'RelayCreated', /is added: in place of .*, whose node is lost/);
    await until('as many to serve as were asked for', async () => {
      const { status } = await operator.fleet('stranded');
      return status?.readyReplicas === 2 && status.relays?.some((relay) => relay.state === 'Unreachable');
    });
    await operator.cluster.setNodeState(node, 'up');
    await until('the surplus to drain', async () => {
      const { status } = await operator.fleet('stranded');
      return status?.drainingReplicas === 1 && status.readyReplicas === 2;
    });
    assertNothingLost(await stop());
    await operator.whenServing('stranded');
    await operator.deleteFleet('stranded');
  });
});
