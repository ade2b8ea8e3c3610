import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';

import { Drain, DRAIN_GRACE_MS } from '../../../relay/control/drain.ts';

const at = (nowMs: number): { nowMs: number; wallMs: number } => ({ nowMs, wallMs: nowMs + 1e12 });
const busy = { heldSessions: 3, everRegistered: true };
const idle = { heldSessions: 0, everRegistered: true };

test('fault 7: a signal drains, and the process ends once no session is held and none may still come', () => {
  const drain = new Drain(60_000);
  assert.equal(drain.draining, false);
  drain.signal(at(1000));
  assert.equal(drain.draining, true);
  assert.equal(drain.end(1000, busy), undefined);
  assert.equal(drain.end(1000 + DRAIN_GRACE_MS, busy), undefined);
  assert.equal(
    drain.end(999 + DRAIN_GRACE_MS, idle),
    undefined,
    'Master may have handed one out before it heard',
  );
  assert.equal(drain.end(1000 + DRAIN_GRACE_MS, idle), 'drained');
});

test('fault 7: SIGINT and SIGTERM are the same, a second one ends at once', () => {
  const drain = new Drain(60_000);
  drain.signal(at(1000));
  drain.signal(at(1001));
  assert.equal(drain.end(1001, busy), 'second signal');
});

test('a relay that never registered is empty at once', () => {
  const drain = new Drain(60_000);
  drain.signal(at(0));
  assert.equal(drain.end(0, { heldSessions: 0, everRegistered: false }), 'drained');
  assert.equal(drain.end(0, { heldSessions: 1, everRegistered: false }), undefined);
});

test('sessions are waited for no longer than the drain timeout', () => {
  const drain = new Drain(60_000);
  drain.signal(at(1000));
  assert.equal(drain.end(60_999, busy), undefined);
  assert.equal(drain.end(61_000, busy), 'timed out');
});

test('a drain by wish ends nothing, and can be taken back', () => {
  const drain = new Drain(60_000);
  drain.wish(true, at(1000));
  assert.equal(drain.end(1e9, idle), undefined);
  assert.equal(drain.isEmpty(1000 + DRAIN_GRACE_MS, idle), true);
  drain.wish(false, at(2000));
  assert.equal(drain.draining, false);
  drain.wish(true, at(50_000));
  assert.deepEqual(drain.start, at(50_000), 'a new drain has its own 10 s');
});

test('the drain timeout counts from the wish when that came first, and no wish takes a signal back', () => {
  const drain = new Drain(60_000);
  drain.wish(true, at(0));
  drain.signal(at(50_000));
  drain.wish(false, at(51_000));
  assert.equal(drain.draining, true);
  assert.deepEqual(drain.start, at(0));
  assert.equal(drain.end(59_999, busy), undefined);
  assert.equal(drain.end(60_000, busy), 'timed out');
});

test('a signal long after the drain timeout of a wish ends at once', () => {
  const drain = new Drain(60_000);
  drain.wish(true, at(0));
  drain.signal(at(100_000));
  assert.equal(drain.end(100_000, busy), 'timed out');
});

test('whatever happens: it ends only after a signal, and draining is exactly wish or signal', () => {
  const event = fc.record({
    what: fc.constantFrom('wish', 'take back', 'signal', 'look'),
    afterMs: fc.nat(30_000),
    heldSessions: fc.nat(2),
    everRegistered: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(event), fc.nat(40_000), (events, timeoutMs) => {
      const drain = new Drain(timeoutMs);
      let nowMs = 0;
      let wished = false;
      let signals = 0;
      let startMs: number | undefined;
      for (const { what, afterMs, heldSessions, everRegistered } of events) {
        nowMs += afterMs;
        if (what === 'wish') drain.wish((wished = true), at(nowMs));
        if (what === 'take back') drain.wish((wished = false), at(nowMs));
        if (what === 'signal') {
          signals++;
          drain.signal(at(nowMs));
        }
        if (wished || signals > 0) startMs ??= nowMs;
        else startMs = undefined;
        assert.equal(drain.draining, wished || signals > 0);
        assert.equal(drain.start?.nowMs, startMs);
        const end = drain.end(nowMs, { heldSessions, everRegistered });
        const graceOver = startMs !== undefined && nowMs >= startMs + DRAIN_GRACE_MS;
        const empty = heldSessions === 0 && (graceOver || !everRegistered);
        const late = startMs !== undefined && nowMs >= startMs + timeoutMs;
        assert.equal(end !== undefined, signals > 1 || (signals === 1 && (empty || late)));
      }
    }),
  );
});
