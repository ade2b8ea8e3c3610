import assert from 'node:assert/strict';
import { test } from 'node:test';

import { plan } from '../../../operator/plan/plan.ts';
import { ModelCluster } from './model-cluster.ts';

test('what a relay says of itself is cut between characters: else the status would never come back as it was written', () => {
  const cluster = new ModelCluster({ master: { url: 'https://master.example.com' } });
  cluster.settle();
  const world = cluster.world();
  for (const notReadyReason of [
    '\u{1f600}'.repeat(1024),
    `x${'\u{1f600}'.repeat(1023)}`,
    'half a pair: \ud83d',
  ]) {
    const polls = new Map(
      [...world.polls].map(([uid, poll]) => [
        uid,
        { ...poll, state: 'starting' as const, registered: false, notReadyReason },
      ]),
    );
    const { relays, conditions } = plan({ ...world, polls }).status;
    const texts = [...relays!.map(({ reason }) => reason!), ...conditions!.map(({ message }) => message)];
    assert.ok(texts.some((text) => /\u{1f600}|\ufffd/u.test(text)));
    for (const text of texts) assert.ok(text.isWellFormed(), JSON.stringify(text));
  }
});
