import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Counter } from '../../../relay/pipeline/counters.ts';
import type { CounterName } from '../../../relay/pipeline/counters.ts';
import type { PipelineLimits } from '../../../relay/pipeline/pipeline.ts';
import {
  forwardOf,
  handshakeOf,
  Harness,
  plainOf,
  presentOf,
  riftOf,
  START_MS,
  START_WALL_MS,
} from './harness.ts';
import type { Outcome, TestToken } from './harness.ts';
import { Model } from './model.ts';
import type { Packet } from './model.ts';

type Step =
  | { readonly kind: 'packet'; readonly packet: Packet }
  | { readonly kind: 'burst'; readonly from: string; readonly count: number }
  | { readonly kind: 'pass'; readonly ms: number }
  | { readonly kind: 'sweep' | 'due' | 'shed' | 'verify' }
  /** While it is busy, leases wait for a step `verify` each; otherwise they are verified as they come. */
  | { readonly kind: 'busy'; readonly on: boolean }
  | { readonly kind: 'drain'; readonly on: boolean }
  | { readonly kind: 'wall'; readonly ms: number };

const ADDRESSES = ['192.0.2.1:1001', '192.0.2.1:1002', '192.0.2.1:1003', '198.51.100.2:1', '198.51.100.2:2'];
const session = fc.constantFrom(0, 0, 0, 0, 1, 2);
const from = fc.constantFrom(ADDRESSES[0]!, ADDRESSES[0]!, ADDRESSES[3]!, ADDRESSES[3]!, ...ADDRESSES);

const token: fc.Arbitrary<TestToken> = fc.record({
  sub: fc.constantFrom('ann', 'ann', 'ann', 'bob'),
  iat: fc.constantFrom(null, 0, 0, 0, 1000, 2000),
  exp: fc.constantFrom(5000, 100_000, 800_000),
  registeredExp: fc.constantFrom(30_000, 3_600_000, 3_600_000),
  soft: fc.constantFrom(1000, 2000),
  hard: fc.constantFrom(2000, 8000),
  note: fc.constantFrom('', 'x'),
});

const packet: fc.Arbitrary<Packet> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('present' as const),
      session,
      role: fc.constantFrom<0 | 1>(0, 1),
      token,
      from,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('renew' as const), session, from }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('forward' as const),
      session,
      from,
      form: fc.constantFrom(
        'transport',
        'transport',
        'transport',
        'handshake',
        'plain',
        'broken',
      ) as fc.Arbitrary<'transport'>,
      id: fc.oneof(fc.nat(6), fc.nat(300), fc.constantFrom(4096, 4097, 4098, 8000, 12_000)),
      alias: fc.constantFrom(7, 7, 8),
      size: fc.constantFrom(100, 1000, 1500),
    }),
  },
);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: packet.map((packet): Step => ({ kind: 'packet', packet })),
  },
  {
    weight: 4,
    arbitrary: fc
      .constantFrom(1, 10, 100, 400, 400, 1000, 1000, 1999, 2000, 2001, 5000, 9999, 20_000)
      .map((ms): Step => ({ kind: 'pass', ms })),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(from, fc.constantFrom(20, 200))
      .map(([from, count]): Step => ({ kind: 'burst', from, count })),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom<Step>({ kind: 'sweep' }, { kind: 'due' }),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom<Step>(
      { kind: 'busy', on: true },
      { kind: 'busy', on: false },
      { kind: 'verify' },
      { kind: 'verify' },
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Step>(
      { kind: 'shed' },
      { kind: 'drain', on: true },
      { kind: 'drain', on: false },
      { kind: 'wall', ms: -7000 },
      { kind: 'wall', ms: 9000 },
    ),
  },
);

const limits: fc.Arbitrary<PipelineLimits> = fc.record({
  idleTimeoutMs: fc.constant(15_000),
  leaseDurationMs: fc.constantFrom(3000, 20_000),
  cleanupIntervalMs: fc.constant(4000),
  renewOnTraffic: fc.boolean(),
  rebindOnForward: fc.constantFrom('port', 'port', 'port', 'off'),
  ipRateLimitPps: fc.constantFrom(3, 1000),
  identityRateLimitPps: fc.constantFrom(2, 1000),
});

test('the pipeline does what the model says, over any datagrams, addresses and clock moves, and the books balance', () => {
  fc.assert(
    fc.property(limits, fc.constantFrom(1, 2, 3), fc.array(step, { maxLength: 200, size: 'max' }), play),
    {
      numRuns: 200,
    },
  );
});

test('two peers that talk, and others who would like to', () => {
  // Starts from an active session, which random steps alone seldom keep up for long.
  const active: Step[] = [0, 1].map((role) => ({
    kind: 'packet',
    packet: {
      kind: 'present',
      session: 0,
      role: role as 0 | 1,
      token: {
        sub: 'ann',
        iat: 0,
        exp: 100_000,
        registeredExp: 3_600_000,
        soft: 1000,
        hard: 8000,
        note: '',
      },
      from: ADDRESSES[role * 3]!,
    },
  }));
  fc.assert(
    fc.property(limits, fc.array(step, { maxLength: 200, size: 'max' }), (limits, steps) =>
      play(limits, 2, [...active, ...steps]),
    ),
    { numRuns: 200 },
  );
});

function play(limits: PipelineLimits, maxSessions: number, steps: readonly Step[]): void {
  const relay = new Harness({ limits, maxSessions });
  const model = new Model(limits, maxSessions, START_MS, START_WALL_MS);
  let busy = false;
  let packets: readonly Packet[];
  const verify = (what: string): void => {
    const expected = model.verify();
    const { outcome, held } = relay.verify();
    assert.deepEqual(roughly(outcome), roughly(expected.outcome), what);
    assert.deepEqual(
      held.map((one) => roughly(one.outcome)),
      expected.held.map(roughly),
      `held before ${what}`,
    );
  };
  for (const [i, step] of steps.entries()) {
    if (step.kind === 'packet') packets = [step.packet];
    else if (step.kind === 'burst') packets = burst(step.from, step.count, 10_000 + i * 1000);
    else packets = [];
    if (step.kind === 'busy') busy = step.on;
    for (const packet of packets) {
      const expected = model.arrive(packet);
      const outcome = relay.arrive(bytesOf(packet), packet.from);
      assert.deepEqual(roughly(outcome), roughly(expected), `step ${i}`);
    }
    if (step.kind === 'verify' && model.waiting.length > 0) verify(`step ${i}`);
    while (!busy && model.waiting.length > 0) verify(`step ${i}`);
    act(step, relay, model);
    assert.equal(relay.waiting, model.waiting.length);
    if (relay.waiting === 0) relay.balanced();
    assert.equal(relay.pipeline.heldSessions, model.sessions.size, `sessions after step ${i}`);
    assert.equal(relay.admission.held, model.sessions.size, `places after step ${i}`);
    const active = [...model.sessions.values()].filter(({ peers }) => peers[0] && peers[1]).length;
    assert.equal(relay.pipeline.activeSessions, active, `active sessions after step ${i}`);
  }
  while (model.waiting.length > 0) verify('the end');
  relay.balanced();
  for (const name of Object.keys(Counter) as CounterName[]) {
    if (/^(packets_rx|bytes|lease_(present|renew))/.test(name)) continue;
    assert.equal(relay.count(name), model.counts.get(name) ?? 0, name);
  }
}

function act(step: Step, relay: Harness, model: Model): void {
  switch (step.kind) {
    case 'pass':
      relay.pass(step.ms);
      model.nowMs += step.ms;
      model.wallMs += step.ms;
      break;
    case 'wall':
      relay.wallMs += step.ms;
      model.wallMs += step.ms;
      // The pipeline learns of it here; sweeping early is all the same to the model.
      relay.sweep();
      model.sweep();
      break;
    case 'sweep':
      relay.sweep();
      model.sweep();
      break;
    case 'due': {
      const expected = model.takeDue();
      const outcomes: Outcome[] = [];
      for (let due = relay.takeDue(); due; due = relay.takeDue()) outcomes.push(due);
      assert.deepEqual(outcomes.map(roughly), expected.map(roughly));
      break;
    }
    case 'shed':
      model.shedding = !model.shedding;
      relay.admission.setShedding(model.shedding);
      break;
    case 'packet':
    case 'burst':
    case 'busy':
    case 'verify':
      break;
    case 'drain':
      model.drainedSince = step.on ? { ms: model.nowMs, wallMs: model.wallMs } : undefined;
      relay.admission.setDraining(step.on ? relay.nowMs : undefined, relay.wallMs);
      break;
  }
}

/** A stream of large packets in session 0, numbered on from burst to burst. */
function burst(from: string, count: number, firstId: number): Packet[] {
  return Array.from({ length: count }, (_, i) => ({
    kind: 'forward',
    session: 0,
    from,
    form: 'transport',
    id: firstId + i,
    alias: 7,
    size: 1500,
  }));
}

function bytesOf(packet: Packet): Uint8Array {
  if (packet.kind === 'present') return presentOf(packet.session, packet.role, packet.token);
  if (packet.kind === 'renew') return forwardOf(packet.session, new Uint8Array(0)).fill(4, 2, 3);
  const { session, id, alias, size } = packet;
  if (packet.form === 'plain') return plainOf(session, BigInt(id), size);
  if (packet.form === 'handshake') return padded(handshakeOf(session, id), size);
  const bytes = riftOf(session, id, { alias, size });
  if (packet.form === 'broken') bytes[36] = bytes[36]! ^ 0x40;
  return bytes;
}

function padded(bytes: Uint8Array, size: number): Uint8Array {
  const whole = new Uint8Array(size);
  whole.set(bytes);
  return whole;
}

/** Flows are numbered by slot, which is the pipeline's own affair, but for the direction. */
function roughly(outcome: Outcome): Outcome {
  return outcome.kind === 'forward' ? { ...outcome, flow: outcome.flow & 1 } : outcome;
}
