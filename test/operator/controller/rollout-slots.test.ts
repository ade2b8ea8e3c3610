import assert from 'node:assert/strict';
import { suite, test } from 'node:test';

import type { WavryRelayStatus } from '../../../operator/api/status.ts';
import { RolloutSlots } from '../../../operator/controller/rollout-slots.ts';
import type { KubeObject } from '../../../operator/kube/object.ts';
import { object } from './objects.ts';

function saying(reason: string): WavryRelayStatus {
  const lastTransitionTime = '2026-01-01T00:00:00Z';
  return { conditions: [{ type: 'Progressing', status: 'True', reason, message: '', lastTransitionTime }] };
}

/** Fleets as a new leader finds them, each with the reason that its status gives. */
function found(reasons: Readonly<Record<string, string>>): KubeObject[] {
  return Object.entries(reasons).map(([name, reason]) => object(name, { status: saying(reason) }));
}

function mayRollOut(slots: RolloutSlots, fleets: readonly KubeObject[]): string {
  const names = ['a', 'b', 'c', 'd'];
  return names.filter((name) => slots.mayRollOut(`games/${name}`, { list: () => fleets })).join('');
}

suite('rollouts at a time', () => {
  test('no more than the limit; another begins when one is over', () => {
    const slots = new RolloutSlots(2);
    assert.equal(mayRollOut(slots, []), 'abcd');
    slots.decided('games/a', saying('RollingOut'));
    assert.equal(mayRollOut(slots, []), 'abcd');
    slots.decided('games/b', saying('RollingOut'));
    assert.equal(mayRollOut(slots, []), 'ab');
    slots.decided('games/a', saying('UpToDate'));
    slots.decided('games/c', saying('RollingOut'));
    assert.equal(mayRollOut(slots, []), 'bc');
  });

  test('a new leader goes on with those that the statuses tell of', () => {
    const fleets = found({ a: 'Waiting', b: 'RollingOut', c: 'UpToDate' });
    assert.equal(mayRollOut(new RolloutSlots(1), fleets), 'b');
    assert.equal(mayRollOut(new RolloutSlots(2), fleets), 'abcd');
  });

  test('more of them than the limit go on, and none is added until there is room', () => {
    const slots = new RolloutSlots(1);
    const fleets = found({ a: 'Waiting', b: 'RollingOut', c: 'RollingOut' });
    assert.equal(mayRollOut(slots, fleets), 'bc');
    slots.decided('games/b', saying('Draining'));
    assert.equal(mayRollOut(slots, fleets), 'c');
    slots.decided('games/c', saying('Draining'));
    assert.equal(mayRollOut(slots, fleets), 'abcd');
  });

  for (const reason of ['UpToDate', 'Paused', 'ImageUnavailable', 'UnreadableSpec']) {
    test(`what was decided since counts before a status that is stale: ${reason}`, () => {
      const slots = new RolloutSlots(1);
      slots.decided('games/b', saying(reason));
      assert.equal(mayRollOut(slots, found({ a: 'Waiting', b: 'RollingOut' })), 'abcd');
    });
  }

  test('a fleet that goes, or is gone, holds up nobody', () => {
    const slots = new RolloutSlots(1);
    const [gone] = found({ b: 'RollingOut' });
    const metadata = { ...gone!.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' };
    assert.equal(mayRollOut(slots, [{ ...gone!, metadata }]), 'abcd');
    slots.decided('games/b', saying('RollingOut'));
    slots.forget('games/b');
    assert.equal(mayRollOut(slots, [{ ...gone!, metadata }]), 'abcd');
    assert.equal(mayRollOut(slots, []), 'abcd');
  });
});
