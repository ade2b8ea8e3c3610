import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import type { RunResult } from '../../../bench/simulate/books.ts';
import { HpaController } from '../../../bench/simulate/hpa.ts';
import { hpaSpecOf } from '../../../bench/simulate/hpa-object.ts';
import { type Scenario, scenarioOf } from '../../../bench/simulate/scenario.ts';
import { Simulation, START_MS, type Watcher } from '../../../bench/simulate/simulation.ts';
import { activeSessions } from '../../../operator/plan/demand.ts';
import { POLL_STALE_MS } from '../../../operator/plan/relay-view.ts';

/** A small fleet with sessions of a game's length. */
function fleet(changes: Record<string, unknown>, spec: Record<string, unknown> = {}): Scenario {
  return scenarioOf(
    {
      title: 'test',
      about: 'test',
      duration: '3h',
      relays: 20,
      spec: {
        master: { url: 'https://master.example.com' },
        autoscaling: { minReplicas: 2, maxReplicas: 60 },
        ...spec,
      },
      sessions: { median: '25m', sigma: 1, longest: '8h' },
      demand: [['0h', 1]],
      ...changes,
    },
    'test',
  );
}

interface Decision {
  /** Since the start of the run. */
  readonly atMs: number;
  readonly before: number;
  readonly after: number;
  readonly proposal: number | undefined;
}

function run(
  scenario: Scenario,
  seed: number,
  watcher: Watcher = {},
): { result: RunResult; decisions: Decision[] } {
  const decisions: Decision[] = [];
  const simulation = new Simulation(scenario, seed, {
    ...watcher,
    onSync: (decision, now) => {
      decisions.push({
        atMs: now.clock.nowMs - START_MS,
        before: now.operator.spec.replicas,
        after: decision.replicas,
        proposal: decision.proposal,
      });
      watcher.onSync?.(decision, now);
    },
  });
  return { result: simulation.run(), decisions };
}

/** What a metric would say that counts only relays which serve: it falls with every drain. */
function servingOnly(name: string, simulation: Simulation): number | undefined {
  if (name !== 'active_sessions') return 0;
  const world = simulation.operator.world();
  const draining = new Set(
    world.relays.flatMap((relay) => (relay.drainingSinceMs === undefined ? [] : [relay.name])),
  );
  const measured = activeSessions({ ...world, pods: world.pods.filter((pod) => !draining.has(pod.relay)) });
  return 'value' in measured ? measured.value : undefined;
}

const seeds = fc.integer({ min: 0, max: 1_000_000 });
const drops = (decisions: readonly Decision[]): Decision[] =>
  decisions.filter(({ before, after }) => after < before);

/** 20 relays with work for 14, and sessions that stay as many. */
const idle = fleet({ demand: [['0h', 0.7]] }, { replicas: 20 });

test('no second scale-down step follows from a drain', () => {
  fc.assert(
    fc.property(seeds, (seed) => {
      // A controller that sees the same sessions, on a fleet where no relay ever drains.
      const shadow = new HpaController(hpaSpecOf(idle.spec));
      let replicas = 20;
      const { result, decisions } = run(idle, seed, {
        onSync: (decision, now) => {
          const metric = now.metric('active_sessions')!;
          assert.ok(Math.abs(metric - now.held) <= 0.03 * now.held + 5, `${metric} measured of ${now.held}`);
          replicas = shadow.sync(now.clock.nowMs, {
            specReplicas: replicas,
            statusReplicas: replicas,
            readyPods: replicas,
            metric: (name) => (name === 'active_sessions' ? metric : 0),
          }).replicas;
          assert.equal(decision.replicas, replicas);
        },
      });
      assert.ok(drops(decisions).length > 0 && result.figures.drained >= 4, 'relays did drain');
      // Three deviations of the number of sessions below their mean are work for 13.
      assert.ok(decisions.every(({ after }) => after >= 13));
      assert.equal(result.figures.lost, 0);
    }),
    { numRuns: 10 },
  );
});

test('with a metric of serving relays alone the same fleet shrinks on, so the proof can fail', () => {
  const { decisions } = run(idle, 1, { metric: servingOnly });
  assert.ok(decisions.some(({ after }) => after < 13));
});

const rollout = fleet({
  duration: '4h',
  incidents: [{ at: '30m', edit: { image: 'relay:2' } }],
});

test('a rollout changes no proposal of the HPA', () => {
  fc.assert(
    fc.property(seeds, fc.constantFrom(1, '30%'), (seed, maxSurge) => {
      const scenario = {
        ...rollout,
        spec: { ...rollout.spec, rollout: { ...rollout.spec.rollout, maxSurge } },
      };
      const { result } = run(scenario, seed, {
        onPlan: ({ status }, now) => {
          if (now.clock.nowMs > START_MS) assert.equal(status.replicas, now.operator.spec.replicas);
        },
        onSync: ({ proposal }, now) => {
          const asked = now.held / scenario.targetSessions;
          // Arrivals alone stray beyond the HPA's tolerance of a tenth for one seed in a hundred.
          if (now.operator.spec.replicas === 20 && Math.abs(asked / 20 - 1) <= 0.05)
            assert.equal(proposal, 20);
          else assert.ok(Math.abs(proposal! - asked) <= 4, `${proposal} for ${asked}`);
        },
      });
      assert.ok(result.figures.created >= 20 && result.figures.drained >= 20, 'the rollout went through');
      assert.equal(result.figures.lost, 0);
      assert.equal(result.figures.refused, 0);
    }),
    { numRuns: 8 },
  );
});

test('with a metric of serving relays alone a rollout looks like idleness, so the proof can fail', () => {
  const { decisions } = run(rollout, 1, { metric: servingOnly });
  assert.ok(decisions.some(({ proposal }) => proposal !== undefined && proposal < 20));
});

test('a blind metrics API never shrinks a fleet', () => {
  const blindness = fc.record({
    kind: fc.constantFrom('relaysUnreachable', 'metricsDown'),
    at: fc.integer({ min: 20, max: 100 }),
    minutes: fc.integer({ min: 5, max: 60 }),
  });
  fc.assert(
    fc.property(seeds, blindness, (seed, { kind, at, minutes }) => {
      const scenario = fleet({
        demand: [
          ['0h', 1],
          ['15m', 1],
          ['45m', 0.2],
        ],
        incidents: [{ at: `${at}m`, [kind]: `${minutes}m` }],
      });
      const { result, decisions } = run(scenario, seed);
      const from = at * 60_000 + (kind === 'relaysUnreachable' ? POLL_STALE_MS : 0);
      const blind = decisions.filter(({ atMs }) => atMs > from && atMs < (at + minutes) * 60_000);
      assert.ok(blind.length > 0);
      assert.deepEqual(drops(blind), []);
      assert.ok(drops(decisions).length > 0, 'the fleet does shrink when it sees');
      assert.equal(result.figures.lost, 0);
    }),
    { numRuns: 10 },
  );
});

test('relays that a third of the network hides count for no less than they hold', () => {
  fc.assert(
    fc.property(seeds, (seed) => {
      const scenario = fleet({
        demand: [
          ['0h', 1],
          ['30m', 1],
          ['40m', 0.3],
        ],
        incidents: [{ at: '20m', relaysUnreachable: '2h', share: 0.35 }],
      });
      run(scenario, seed, {
        onSync: (_decision, now) => {
          const metric = now.metric('active_sessions');
          if (metric !== undefined) assert.ok(metric >= 0.97 * now.held - 5, `${metric} of ${now.held}`);
        },
      });
    }),
    { numRuns: 5 },
  );
});

test('a relay that goes before its drain timeout has lost its sessions, so that figure can rise', () => {
  const at = START_MS + 1_800_000;
  const { result } = run(fleet({ duration: '1h' }), 2, {
    onSync: (_decision, now) => {
      const [first] = now.cluster.relays.keys();
      if (now.clock.nowMs >= at && now.clock.nowMs < at + 15_000) now.cluster.delete(first!);
    },
  });
  assert.ok(result.figures.lost >= 40, `${result.figures.lost}`);
});

test('the same seed gives the same run, another one another', () => {
  const scenario = fleet({ duration: '1h' });
  const once = run(scenario, 7).result;
  assert.deepEqual(run(scenario, 7).result.figures, once.figures);
  assert.notEqual(run(scenario, 8).result.figures.asked, once.figures.asked);
});
