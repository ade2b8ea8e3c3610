import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, afterEach, before, suite, test, type TestContext } from 'node:test';

import type { KubeObject } from '../../../operator/kube/object.ts';
import { Resources } from '../../../operator/kube/resource.ts';
import type { FaultProxy } from './fault-proxy.ts';
import { fleetOf, IMAGES, OperatorCluster, ROOT } from './operator-cluster.ts';
import { lease, type OperatorProcess } from './operator-process.ts';
import { OutsideOperators } from './outside-operators.ts';
import { until } from './until.ts';

/** Renewed within 24 s, so that a busy machine doesn't take it away from one that lives. */
const EXPIRING = lease(30);
/** Where it is given up, nobody waits for it to expire. */
const LASTING = lease(300);
const PATIENCE_MS = 180_000;
const TIMEOUT_MS = 600_000;

suite('one operator of several leads', () => {
  let operator: OperatorCluster;
  let outside: OutsideOperators;

  before(async () => {
    operator = await OperatorCluster.start({
      nodes: 1,
      images: { ...IMAGES, 'test/simulated': { simulated: true } },
    });
    outside = new OutsideOperators(operator);
    await operator.cluster.kubectl(['apply', '-f', join(ROOT, 'crds/wavryrelays.wavry.dev.yaml')]);
  });
  afterEach((context) => {
    if (!(context as TestContext).passed) console.error(outside.logs);
  });
  after(async () => {
    await outside?.stop();
    await operator?.stop();
  });

  /** An operator behind a proxy of its own, which sees what it writes. */
  const start = async (
    namespace: string,
    lease: readonly string[] = EXPIRING,
  ): Promise<{ process: OperatorProcess; proxy: FaultProxy }> => {
    const proxy = await outside.proxy();
    const process = outside.start(proxy, namespace, lease);
    return { process, proxy };
  };
  /** A fleet of relays that nothing stands behind: what is written of them is all that counts here. */
  const make = async (namespace: string): Promise<void> => {
    await operator.cluster.kubectl(['create', 'namespace', namespace]);
    await operator.apply(fleetOf('fleet', { image: 'test/simulated:1' }, namespace));
  };
  const scale = (namespace: string, replicas: number): Promise<string> =>
    operator.cluster.kubectl(['scale', 'wr/fleet', `--namespace=${namespace}`, `--replicas=${replicas}`]);
  const relaysOf = (namespace: string, count: number): Promise<unknown> =>
    until(
      `${count} relays in ${namespace}`,
      async () => {
        const { metadata, status } = await operator.fleet('fleet', namespace);
        const deployments = await operator.list(Resources.deployments, namespace);
        return status?.observedGeneration === metadata.generation && deployments.length === count;
      },
      PATIENCE_MS,
    );
  const atRest = (proxy: FaultProxy): Promise<unknown> => {
    let seen = -1;
    let sinceMs = 0;
    return until('nothing more to be written', () => {
      if (proxy.writes.length !== seen) sinceMs = performance.now();
      seen = proxy.writes.length;
      return performance.now() - sinceMs > 3000;
    });
  };
  const holder = async (namespace: string): Promise<string> => {
    const { spec } = await operator.client.get<KubeObject & { spec: { holderIdentity: string } }>(
      Resources.leases,
      namespace,
      'wavry-relay-operator',
    );
    return spec.holderIdentity;
  };

  suite('side by side', { concurrency: 3 }, () => {
    test('when it dies, the other goes on', { timeout: TIMEOUT_MS }, async () => {
      await make('dies');
      const first = await start('dies');
      await first.process.whenLeading();
      const second = await start('dies');
      await relaysOf('dies', 1);
      await until('the second to be in sync', () => second.process.log.includes('"in sync"'));
      assert.deepEqual(second.proxy.writes, [], 'the second writes nothing');
      assert.equal(await first.process.kill(), 'SIGKILL');
      await scale('dies', 2);
      await second.process.whenLeading();
      await relaysOf('dies', 2);
    });

    test(
      'asked to end it gives the lease up, and the other needn’t wait for it',
      { timeout: TIMEOUT_MS },
      async () => {
        await make('ends');
        const first = await start('ends', LASTING);
        await first.process.whenLeading();
        const held = await holder('ends');
        await relaysOf('ends', 1);
        assert.equal(await first.process.kill('SIGTERM'), 0);
        assert.equal(await holder('ends'), '', 'given up before it ended');
        const second = await start('ends', LASTING);
        await second.process.whenLeading();
        assert.notEqual(await holder('ends'), held);
      },
    );

    test(
      'asked to end while its writes hang, it gives the lease up all the same',
      { timeout: TIMEOUT_MS },
      async () => {
        await make('hangs');
        const first = await start('hangs', LASTING);
        await first.process.whenLeading();
        await relaysOf('hangs', 1);
        first.proxy.judge = ({ kind }) => (kind === 'write' ? 'black hole' : undefined);
        const before = first.proxy.writes.length;
        await scale('hangs', 2);
        await until('a write to hang', () => first.proxy.writes.length > before);
        assert.equal(await first.process.kill('SIGTERM'), 0);
        assert.equal(await holder('hangs'), '', first.process.log);
        const second = await start('hangs', LASTING);
        await second.process.whenLeading();
        await relaysOf('hangs', 2);
      },
    );

    test(
      'cut off from its Lease it ends, whatever it is doing, and the other goes on',
      { timeout: TIMEOUT_MS },
      async () => {
        await make('cut-off');
        const first = await start('cut-off');
        await first.process.whenLeading();
        await relaysOf('cut-off', 1);
        const second = await start('cut-off');
        first.proxy.judge = ({ kind }) => (kind === 'lease' || kind === 'write' ? 'black hole' : undefined);
        const before = first.proxy.writes.length;
        await scale('cut-off', 2);
        await until('a write to hang', () => first.proxy.writes.length > before);
        assert.equal(await first.process.whenEnded(), 1);
        assert.match(first.process.log, /stopping: the lease was lost/);
        await second.process.whenLeading();
        await relaysOf('cut-off', 2);
      },
    );

    test(
      'stopped and continued after another took over, it writes nothing and ends',
      { timeout: TIMEOUT_MS },
      async () => {
        await make('stopped');
        const first = await start('stopped');
        await first.process.whenLeading();
        const second = await start('stopped');
        await scale('stopped', 3);
        await relaysOf('stopped', 3);
        // A request that was handed to its connection before is sent whatever has happened since.
        await atRest(first.proxy);
        first.process.signal('SIGSTOP');
        // Work that it would take up first of all.
        await scale('stopped', 4);
        await second.process.whenLeading();
        await relaysOf('stopped', 4);
        const before = first.proxy.writes.length;
        await scale('stopped', 5);
        first.process.signal('SIGCONT');
        assert.equal(await first.process.whenEnded(), 1);
        assert.match(first.process.log, /stopping: the lease was lost/);
        assert.deepEqual(first.proxy.writes.slice(before), []);
        await relaysOf('stopped', 5);
      },
    );
  });
});
