import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BusyTime } from '../../../relay/datapath/busy-time.ts';

test('a worker that never sleeps is busy all the time, whatever CPU it gets', () => {
  const busy = new BusyTime(1000);
  assert.equal(busy.totalMs(1100, 70), 100);
  assert.equal(busy.totalMs(1200, 71), 200);
});

test('what a sleeping worker did not sleep is busy, and never less than its CPU time', () => {
  const busy = new BusyTime(0);
  busy.slept(30);
  busy.slept(40);
  assert.equal(busy.totalMs(100, 10), 30);
  busy.slept(70);
  assert.equal(busy.totalMs(200, 10 + 95), 30 + 95, 'the calls that slept worked as well');
});

test('verification that could have waited is time to spare', () => {
  const busy = new BusyTime(0);
  busy.spared(75);
  assert.equal(busy.totalMs(100, 100), 25);
});

test('it never goes back nor beyond the time that passed', () => {
  const turn = fc.record({
    wallMs: fc.double({ min: 0, max: 1000, noNaN: true }),
    cpuMs: fc.double({ min: 0, max: 1000, noNaN: true }),
    sleptMs: fc.double({ min: 0, max: 1000, noNaN: true }),
    sparedMs: fc.double({ min: 0, max: 1000, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.array(turn), (turns) => {
      const busy = new BusyTime(0);
      let [nowMs, allCpuMs, before] = [0, 0, 0];
      for (const { wallMs, cpuMs, sleptMs, sparedMs } of turns) {
        busy.slept(sleptMs);
        busy.spared(sparedMs);
        const total = busy.totalMs((nowMs += wallMs), (allCpuMs += cpuMs));
        assert.ok(total >= before && total - before <= wallMs + 1e-6);
        before = total;
      }
    }),
  );
});
