import assert from 'node:assert/strict';
import { join } from 'node:path';
import process from 'node:process';
import { after, afterEach, before, suite, test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { Random } from '../../fuzz/random.ts';
import { SEED } from '../../seed.ts';
import { endState, whenReady } from './end-state.ts';
import type { Fault, FaultProxy, SeenRequest } from './fault-proxy.ts';
import { fleetOf, IMAGES, MASTER_URL, OperatorCluster, ROOT } from './operator-cluster.ts';
import { lease, type OperatorProcess } from './operator-process.ts';
import { OutsideOperators } from './outside-operators.ts';
import { until } from './until.ts';

/** `npm run e2e -- faults` sets it. */
const KILLS = Number(process.env['WAVRY_KILLS'] ?? 8);

/** Long enough that the API server may restart, and that a busy machine takes nobody's lease away. */
const LONG_LEASE = ['--lease-duration=120', '--renew-deadline=100', '--retry-period=1'];
const SHORT_LEASE = lease(5);
/** A kill that no write came before is one of an operator at rest. */
const AT_REST_MS = 2500;

const SPEC = {
  sessions: { idleTimeout: '5s', leaseDuration: '10s' },
  drain: { timeout: '1h' },
  pod: { resources: { requests: { cpu: '10m' } } },
};

/** What a person does to a fleet, in any order. */
const EDITS: readonly object[] = [
  { replicas: 1 },
  { replicas: 3 },
  { restartedAt: '2026-01-01T00:00:00Z' },
  { replicas: 2, monitoring: { serviceMonitor: false } },
  { restartedAt: '2026-01-02T00:00:00Z' },
  { region: 'eu' },
  { rollout: { maxSurge: 2 } },
];

/** The last thing that a person does: everything that the end depends on. */
const LAST_EDIT = {
  replicas: 2,
  restartedAt: null,
  region: 'us-east-1',
  rollout: { maxSurge: 2 },
  monitoring: { serviceMonitor: false },
};

/** What may happen to each kind of request. The election has tests of its own; without it nothing would go on here. */
const FAULTS: Readonly<Record<SeenRequest['kind'], readonly Fault[]>> = {
  watch: ['overloaded', 'unavailable', 'lost request', 'expired', 'expired event'],
  read: ['overloaded', 'unavailable', 'lost request', 'lost answer'],
  poll: ['overloaded', 'unavailable', 'lost request', 'lost answer'],
  write: ['overloaded', 'unavailable', 'lost request', 'lost answer', 'conflict'],
  lease: [],
};

suite(`the operator among faults (seed ${SEED})`, () => {
  let operator: OperatorCluster;
  let outside: OutsideOperators;

  before(async () => {
    operator = await OperatorCluster.start({ nodes: 2, images: IMAGES });
    outside = new OutsideOperators(operator);
    await operator.cluster.kubectl(['apply', '-f', join(ROOT, 'crds/wavryrelays.wavry.dev.yaml')]);
    for (const name of ['calm', 'stormy', 'killed', 'restarts']) {
      await operator.startMaster(masterOf(name));
      await operator.cluster.kubectl(['create', 'namespace', name]);
    }
  });
  afterEach((context) => {
    if (!(context as TestContext).passed) console.error(outside.logs);
  });
  after(async () => {
    await outside?.stop();
    await operator?.stop();
  });

  const make = async (namespace: string): Promise<void> => {
    const spec = { ...SPEC, replicas: 2, master: { url: masterOf(namespace) } };
    await operator.apply(fleetOf('fleet', spec, namespace));
  };
  /** Peers that talk until they are stopped. */
  const talk = (namespace: string): ReturnType<OperatorCluster['startPeers']> =>
    operator.startPeers(
      `--master=${masterOf(namespace)}`,
      '--duration=0',
      '--sessions=6',
      '--rate=20',
      '--bidirectional',
    );
  const edit = (namespace: string, spec: object): Promise<string> =>
    operator.cluster.kubectl([
      'patch',
      'wr/fleet',
      `--namespace=${namespace}`,
      '--type=merge',
      `--patch=${JSON.stringify({ spec })}`,
    ]);
  const calm = Promise.withResolvers<unknown>();
  calm.promise.catch(() => undefined);

  suite('three fleets at once', { concurrency: 3 }, () => {
    test('without faults: the end to compare with', { timeout: 700_000 }, async () => {
      try {
        outside.start(await outside.proxy(), 'calm', LONG_LEASE);
        await make('calm');
        await whenReady(operator, 'calm');
        for (const change of EDITS) await edit('calm', change);
        await edit('calm', LAST_EDIT);
        calm.resolve(await endState(operator, 'calm'));
      } catch (error) {
        calm.reject(new Error('there is nothing to compare with'));
        throw error;
      }
    });

    test(
      'cut watches, 410, 429, 503, conflicts, lost requests and answers end in the same state',
      { timeout: 700_000 },
      async (context) => {
        const random = new Random(SEED);
        const proxy = await outside.proxy();
        const running = outside.start(proxy, 'stormy', LONG_LEASE);
        await running.whenLeading();
        const storm = new Storm(random);
        proxy.judge = (seen) => storm.judge(seen);
        const cutting = setInterval(() => proxy.cutWatches(), 1500);
        await make('stormy');
        await until(
          'each fault to have happened',
          async () => {
            // Relays that are replaced before they answer are never asked.
            if (storm.missing.some((fault) => !fault.startsWith('poll')))
              await edit('stormy', random.pick(EDITS));
            await sleep(random.below(1000));
            if (storm.missing.length > 0) throw new Error(storm.missing.join(', '));
            return true;
          },
          400_000,
        );
        await edit('stormy', LAST_EDIT);
        clearInterval(cutting);
        proxy.judge = () => undefined;
        context.diagnostic(`${storm.faults} faults`);
        assert.deepEqual(await endState(operator, 'stormy'), await calm.promise);
        assert.doesNotMatch(running.log, /stopping/);
      },
    );

    test(
      `${KILLS} kills of the operator end in the same state, and no session is lost`,
      { timeout: 600_000 + KILLS * 20_000 },
      async (context) => {
        const random = new Random(SEED + 1);
        const proxy = await outside.proxy();
        let running = outside.start(proxy, 'killed', LONG_LEASE);
        await make('killed');
        await whenReady(operator, 'killed');
        const peers = talk('killed');
        const places = new Map<string, number>();
        const startedMs = performance.now();
        await running.kill('SIGTERM');
        running = outside.start(proxy, 'killed', SHORT_LEASE, { restarts: true });
        for (let kill = 0; kill < KILLS; kill += 1) {
          await edit('killed', random.pick(EDITS));
          const place = await killAtWrite(proxy, running, random);
          places.set(place, (places.get(place) ?? 0) + 1);
          running = outside.start(proxy, 'killed', SHORT_LEASE, { restarts: true });
        }
        context.diagnostic(`${KILLS} kills took ${Math.round((performance.now() - startedMs) / 1000)} s`);
        context.diagnostic(`killed at: ${[...places].map((entry) => entry.join(' ')).join(', ')}`);
        await running.kill();
        proxy.judge = () => undefined;
        outside.start(proxy, 'killed', LONG_LEASE);
        await edit('killed', LAST_EDIT);
        // All that is asked for serves while sessions are still on relays that drain.
        await whenReady(operator, 'killed');
        const report = await peers.stop();
        context.diagnostic(`${report.packets.received} packets in ${Math.round(report.seconds)} s`);
        assert.deepEqual(report.problems, []);
        assert.equal(report.packets.lost, 0);
        assert.equal(report.sessions.established, 6);
        assert.deepEqual(await endState(operator, 'killed'), await calm.promise);
      },
    );
  });

  test('an API server that goes and comes back', { timeout: 400_000 }, async () => {
    const running = outside.start(await outside.proxy(), 'restarts', LONG_LEASE);
    await make('restarts');
    await whenReady(operator, 'restarts');
    const peers = talk('restarts');
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      await edit('restarts', { replicas: 3, restartedAt: '2026-01-01T00:00:00Z' });
      await operator.cluster.restart('kube-apiserver', signal);
      await until('the edit to be taken', () => edit('restarts', LAST_EDIT));
    }
    await whenReady(operator, 'restarts');
    const report = await peers.stop();
    assert.deepEqual(report.problems, []);
    assert.equal(report.packets.lost, 0);
    assert.deepEqual(await endState(operator, 'restarts'), await calm.promise);
    assert.doesNotMatch(running.log, /stopping/);
  });
});

/** Each fleet has a Master of its own, which hands its peers no relays of the others. */
function masterOf(namespace: string): string {
  const url = new URL(MASTER_URL);
  url.port = String(8080 + ['calm', 'stormy', 'killed', 'restarts'].indexOf(namespace));
  return url.origin;
}

/** Spoils about every fourth request, with each fault of its kind as often as with the others. */
class Storm {
  readonly #random: Random;
  readonly #decks = new Map<string, Fault[]>();
  readonly #missing: Set<string>;
  faults = 0;

  constructor(random: Random) {
    this.#random = random;
    this.#missing = new Set(
      Object.entries(FAULTS).flatMap(([kind, faults]) => faults.map((fault) => `${kind}: ${fault}`)),
    );
  }

  /** What hasn't happened yet. */
  get missing(): readonly string[] {
    return [...this.#missing];
  }

  judge({ kind }: SeenRequest): Fault | undefined {
    if (FAULTS[kind].length === 0 || !this.#random.oneIn(4)) return undefined;
    const deck = this.#decks.get(kind) ?? [];
    if (deck.length === 0) deck.push(...FAULTS[kind]);
    this.#decks.set(kind, deck);
    const [fault] = deck.splice(this.#random.below(deck.length), 1);
    this.faults += 1;
    this.#missing.delete(`${kind}: ${fault}`);
    return fault;
  }
}

/**
 * Kills an operator at one of the first things that it writes, before the API server gets it or after it was carried
 * out, or at rest when it has nothing to write. Resolves with where it was.
 */
async function killAtWrite(proxy: FaultProxy, running: OperatorProcess, random: Random): Promise<string> {
  let passing = random.below(8);
  const fault: Fault = random.oneIn(2) ? 'lost request' : 'lost answer';
  let place = 'rest';
  proxy.judge = ({ kind, method, path }) => {
    if (kind !== 'write') return undefined;
    passing -= 1;
    if (passing >= 0) return undefined;
    if (passing === -1) {
      place = `${method} ${path
        .replace(/\?.*/, '')
        .replace(/.*\/killed\//, '')
        .replace(/\/[^/]+/, '')} ${fault}`;
      void running.kill();
    }
    return fault;
  };
  await Promise.race([
    running.whenEnded(),
    running.whenLeading().then(
      () => sleep(AT_REST_MS),
      () => undefined,
    ),
  ]);
  await running.kill();
  return place;
}
