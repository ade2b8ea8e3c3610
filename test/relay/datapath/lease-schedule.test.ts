import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LeaseSchedule, LEASES_PER_TURN } from '../../../relay/datapath/lease-schedule.ts';

test('never more than four leases between two receive calls', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ idle: fc.boolean(), elapsedMs: fc.double({ min: 0, max: 1e6, noNaN: true }) })),
      (turns) => {
        let nowMs = 0;
        const schedule = new LeaseSchedule(nowMs);
        for (const { idle, elapsedMs } of turns) {
          nowMs += elapsedMs;
          const allowance = schedule.allowance(idle, nowMs);
          assert.ok(allowance >= 0 && allowance <= LEASES_PER_TURN, String(allowance));
        }
      },
    ),
  );
});

test('busy forwarding leaves a fifth of the time to leases, and gives them most of that', () => {
  fc.assert(
    fc.property(fc.integer({ min: 5, max: 500 }), fc.integer({ min: 50, max: 125 }), (forwardUs, leaseUs) => {
      const share = busyShare(forwardUs / 1000, leaseUs / 1000);
      assert.ok(share <= 0.2 && share >= 0.15, `${share}`);
    }),
  );
});

test('leases that take longer than they should still get no more than a fifth', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 5, max: 3000 }),
      fc.integer({ min: 126, max: 2000 }),
      (forwardUs, leaseUs) => {
        const share = busyShare(forwardUs / 1000, leaseUs / 1000);
        assert.ok(share <= 0.205 && share > 0, `${share}`);
      },
    ),
  );
});

/** What leases get of ten seconds in which every receive call finds datagrams. */
function busyShare(forwardMs: number, leaseMs: number): number {
  let nowMs = 0;
  let leasesMs = 0;
  const schedule = new LeaseSchedule(nowMs);
  while (nowMs < 10_000) {
    nowMs += forwardMs;
    const spentMs = schedule.allowance(false, nowMs) * leaseMs;
    if (spentMs > 0) schedule.spent(spentMs, false);
    nowMs += spentMs;
    leasesMs += spentMs;
  }
  return leasesMs / nowMs;
}

test('an idle worker verifies all the time, one lease between two looks at the socket', () => {
  const schedule = new LeaseSchedule(0);
  for (let turn = 1; turn <= 100; turn++) {
    assert.equal(schedule.allowance(true, turn * 0.1), 1);
    schedule.spent(0.1, true);
  }
});

test('idling neither runs up a debt nor forgives less than it should', () => {
  const schedule = new LeaseSchedule(0);
  schedule.spent(50, false);
  assert.equal(schedule.allowance(false, 1), 0, 'a slow verification is paid back first');
  assert.equal(schedule.allowance(true, 2), 1);
  assert.equal(schedule.allowance(false, 2 + 0.7), 1, 'after idling the debt is gone');
});
