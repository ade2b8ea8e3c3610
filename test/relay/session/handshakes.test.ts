import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HANDSHAKES_PER_SECOND, takeHandshake } from '../../../relay/session/handshakes.ts';

test('fault 12: exactly 20 pass in each second, however the packets fall', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(300), { maxLength: 400, size: 'max' }), fc.nat(1e9), (pauses, startMs) => {
      const floats = new Float64Array(2);
      const passed = new Map<number, number>();
      let nowMs = startMs;
      for (const [i, pause] of pauses.entries()) {
        if (i % 10 === 0) nowMs += pause;
        const second = Math.floor(nowMs / 1000);
        const before = passed.get(second) ?? 0;
        assert.equal(takeHandshake(floats, 1, nowMs), before < HANDSHAKES_PER_SECOND);
        passed.set(second, Math.min(before + 1, HANDSHAKES_PER_SECOND));
      }
      assert.equal(floats[0], 0);
    }),
  );
});
