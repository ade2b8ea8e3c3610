import assert from 'node:assert/strict';
import { suite, test } from 'node:test';

import fc from 'fast-check';

import { allocatePorts } from '../../../operator/plan/ports.ts';
import { tolerates } from '../../../operator/plan/toleration.ts';
import type { HeldPort, ObservedNode, Taint } from '../../../operator/plan/world.ts';
import { ModelCluster } from './model-cluster.ts';

const base = { master: { url: 'https://master.example.com' }, size: 'Medium' };
const range = (portRange: string): object => ({ exposure: { type: 'HostPort', portRange } });
const TAINT: Taint = { key: 'only', value: 'games', effect: 'NoSchedule' };

/** Ports for so many relays of a fleet, of 4000 and 4001, on nodes a, b and c. */
function ports(
  count: number,
  hostPorts: readonly HeldPort[],
  nodes: Readonly<Record<string, Partial<ObservedNode>>> = {},
  pod?: object,
): (number | undefined)[] {
  const cluster = new ModelCluster({ ...base, ...range('4000-4001'), ...(pod ? { pod } : {}) });
  cluster.nodes.clear();
  for (const name of ['a', 'b', 'c']) cluster.addNode(name, nodes[name]);
  return allocatePorts({ ...cluster.world(), hostPorts }, count);
}

suite('a port for a further relay', () => {
  test('each serves once a node, the least used first', () => {
    assert.deepEqual(ports(7, []), [4000, 4001, 4000, 4001, 4000, 4001, undefined]);
    assert.deepEqual(ports(1, [{ port: 4000, node: 'a' }]), [4001]);
    assert.deepEqual(
      ports(3, [{ port: 4000, node: undefined }, ...['a', 'b', 'c'].map((node) => ({ port: 4001, node }))]),
      [4000, 4000, undefined],
    );
  });

  const away: readonly (readonly [string, Partial<ObservedNode>])[] = [
    ['is not ready', { notReadySinceMs: 1 }],
    ['has a taint', { taints: [TAINT] }],
    ['is cordoned', { taints: [{ key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }] }],
  ];
  for (const [why, node] of away)
    test(`a node that ${why} is none to choose from, and what is held there is in nobody's way`, () => {
      assert.deepEqual(ports(3, [], { b: node, c: node }), [4000, 4001, undefined]);
      const there = [
        { port: 4000, node: 'b' },
        { port: 4001, node: 'c' },
      ];
      assert.deepEqual(ports(3, there, { b: node, c: node }), [4000, 4001, undefined]);
    });

  test('a node whose taint is tolerated, or only a preference, counts', () => {
    const tolerations = [{ key: 'only', operator: 'Exists' }];
    const tainted = { a: { taints: [TAINT] }, b: { taints: [TAINT] } };
    assert.equal(ports(9, [], tainted, { tolerations }).filter(Boolean).length, 6);
    const preference = { taints: [{ ...TAINT, effect: 'PreferNoSchedule' }] };
    assert.equal(ports(9, [], { a: preference }).filter(Boolean).length, 6);
  });

  test('relays of other nodes are in nobody’s way', () => {
    const elsewhere = ['b', 'c'].flatMap((node) => [
      { port: 4000, node },
      { port: 4001, node },
    ]);
    const labels = { pool: 'ours' };
    assert.deepEqual(ports(3, elsewhere, { a: { labels } }, { nodeSelector: labels }), [
      4000,
      4001,
      undefined,
    ]);
  });

  test('without any node one is assumed: an autoscaler adds it for relays that wait', () => {
    const node = { notReadySinceMs: 1 };
    assert.deepEqual(ports(3, [], { a: node, b: node, c: node }), [4000, 4001, undefined]);
  });
});

const toleration: readonly (readonly [object, boolean])[] = [
  [{ key: 'only', operator: 'Exists' }, true],
  [{ key: 'only', value: 'games' }, true],
  [{ key: 'only', operator: 'Equal', value: 'games', effect: 'NoSchedule' }, true],
  [{ operator: 'Exists' }, true],
  [{ operator: 'Exists', effect: 'NoExecute' }, false],
  [{ key: 'only', value: 'others' }, false],
  [{ key: 'only' }, false],
  [{ key: 'other', operator: 'Exists' }, false],
  [{ key: 'only', operator: 'Gt', value: '3' }, false],
  [{}, false],
];
for (const [written, yes] of toleration)
  test(`${JSON.stringify(written)} ${yes ? 'tolerates' : "doesn't tolerate"} only=games:NoSchedule`, () => {
    assert.equal(tolerates(written as Record<string, unknown>, TAINT), yes);
  });

test('whatever fleets plan side by side, each relay finds a node with its port free, until all are taken', () => {
  const action = fc.record({
    fleet: fc.nat(2),
    replicas: fc.nat(5),
    sessions: fc.nat(3),
    /** Of the fleets that plan at once, in which order they carry it out. */
    turn: fc.nat(2),
    steps: fc.integer({ min: 1, max: 12 }),
  });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1, max: 4 }),
      fc.array(action, { minLength: 1, maxLength: 8 }),
      (nodes, portCount, actions) => {
        const spec = { ...base, replicas: 0, drain: { timeout: '1m' }, ...range(`4000-${3999 + portCount}`) };
        const first = new ModelCluster(spec, 'a');
        const fleets = [first, new ModelCluster(spec, 'b', first), new ModelCluster(spec, 'c', first)];
        for (const name of [...first.nodes.keys()].slice(nodes)) first.nodes.delete(name);
        const pass = (steps: number, turn = 0): void => {
          for (let step = 0; step < steps; step += 1) {
            const plans = fleets.map((fleet) => fleet.decide());
            const order = [...fleets.keys()].map((index) => (index + turn) % fleets.length);
            for (const index of order) fleets[index]!.carryOut(plans[index]!);
            for (const fleet of fleets) fleet.advance(1000);
            const relays = fleets.flatMap((fleet) => [...fleet.relays.values()]);
            const unplaced = relays.filter(({ pod }) => pod && pod.node === undefined);
            assert.deepEqual(unplaced, [], 'a relay waits for ever');
          }
        };
        for (const { fleet, replicas, sessions, turn, steps } of actions) {
          fleets[fleet]!.edit({ replicas });
          for (const model of fleets[fleet]!.relays.values())
            model.sessions = model.draining ? Math.min(model.sessions, sessions) : sessions;
          pass(steps, turn);
        }
        // A drain of a minute, and the pod's grace of another and a half.
        pass(200);
        const asked = fleets.reduce((sum, { spec: { replicas } }) => sum + replicas, 0);
        const relays = fleets.flatMap((fleet) => [...fleet.relays.values()]);
        assert.equal(relays.length, Math.min(asked, nodes * portCount));
        const places = relays.map(({ relay, pod }) => `${pod!.node}:${relay.port}`);
        assert.equal(new Set(places).size, places.length);
        const told = fleets.some(({ status }) =>
          status!.conditions!.some(({ message }) =>
            message.includes('every port of spec.exposure.portRange'),
          ),
        );
        assert.equal(told, asked > nodes * portCount);
      },
    ),
    { numRuns: 150 },
  );
});
