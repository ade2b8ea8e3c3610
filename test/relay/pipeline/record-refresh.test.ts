import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Harness } from './harness.ts';
import type { HarnessOptions } from './harness.ts';

const CLIENT = '192.0.2.1:4001';
const SERVER = '198.51.100.2:4002';
const HOUR_MS = 3_600_000;

/** What the state file would hold of the sessions in the first slots. */
class File {
  readonly records = new Map<number, Uint8Array>();
  readonly #relay: Harness;

  constructor(relay: Harness) {
    this.#relay = relay;
  }

  write(): number {
    const { dirty } = this.#relay;
    for (const slot of dirty) this.records.set(slot, this.#relay.record(slot)!);
    return dirty.splice(0).length;
  }

  /** A kill, and a restart with the file as it is. */
  restarted(options: HarnessOptions = {}): Harness {
    const { wallMs } = this.#relay;
    const after = new Harness({ ...options, startMs: 77, startWallMs: wallMs });
    for (const record of this.records.values()) assert.equal(after.restore(record), true);
    return after;
  }
}

for (const [leaseSecs, cleanUpSecs] of [
  [300, 10],
  [300, 600],
  [300, 3600],
  [20, 10],
  [10, 10],
  [1, 10],
  [86_400, 86_400],
] as const) {
  test(`a session that talks is never over on the disk: lease ${leaseSecs} s, clean-up each ${cleanUpSecs} s`, () => {
    const [leaseDurationMs, cleanupIntervalMs] = [leaseSecs * 1000, cleanUpSecs * 1000];
    const limits = { leaseDurationMs, cleanupIntervalMs, idleTimeoutMs: Infinity };
    const relay = new Harness({ limits });
    const file = new File(relay);
    relay.pair(1, CLIENT, SERVER, { exp: 1000 });
    const steps = 2000;
    const stepMs = Math.max(100, leaseSecs * 2);
    for (let id = 1; id <= steps; id++) {
      relay.pass(stepMs);
      relay.sweep();
      file.write();
      relay.rift(1, CLIENT, id);
      relay.rift(1, SERVER, id);
      if (id % 20 === 0)
        assert.equal(file.restarted({ limits }).pipeline.activeSessions, 1, `after ${id * stepMs} ms`);
    }
    relay.balanced();
  });
}

for (const stepMs of [HOUR_MS, -2 * HOUR_MS, 400 * 24 * HOUR_MS, -400 * 24 * HOUR_MS]) {
  test(`a restart after the wall clock stepped by ${stepMs / HOUR_MS} h loses no session`, () => {
    const limits = { ipRateLimitPps: 1e6, identityRateLimitPps: 1e6 };
    const options = { maxSessions: 5000, limits };
    const relay = new Harness(options);
    const file = new File(relay);
    const sessions = 3000;
    for (let i = 0; i < sessions; i++) relay.pair(i, CLIENT, SERVER);
    relay.sweep();
    file.write();
    relay.wallMs += stepMs;
    // Piece by piece, a few times a second.
    for (let tick = 0; tick < 6; tick++) {
      relay.pass(100);
      relay.sweep();
      assert.ok(file.write() < sessions);
    }
    const after = file.restarted(options);
    assert.equal(after.pipeline.activeSessions, sessions);
    // Once is enough.
    relay.live(9000, 100);
    assert.equal(file.write(), 0);
  });
}

test('a wall clock that is set right by less than a second has nothing written', () => {
  const relay = new Harness();
  const file = new File(relay);
  relay.pair(1, CLIENT, SERVER);
  file.write();
  for (const ms of [900, -1800, 900]) {
    relay.wallMs += ms;
    relay.live(1000, 100);
  }
  assert.equal(file.write(), 0);
  // Many small steps in one direction add up.
  for (let i = 0; i < 3; i++) {
    relay.wallMs += 400;
    relay.live(1000, 100);
  }
  assert.equal(file.write(), 1);
});
