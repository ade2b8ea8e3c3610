import assert from 'node:assert/strict';
import { test } from 'node:test';

import { spec as specType } from '../../../operator/api/spec.ts';
import { MasterWatch } from '../../../operator/controller/master-watch.ts';

test('a Master that fell silent is told nothing for half a minute, whichever fleet asks', () => {
  let nowMs = 1_000_000;
  const masters = new MasterWatch({ wallMs: () => nowMs, onChange: () => undefined });
  const ofUrl = (url: string): ReturnType<typeof specType.parse> => specType.parse({ master: { url } });
  const error = new Error('no answer');
  masters.fellSilent(ofUrl('https://a.example.com'), error);
  nowMs += 29_999;
  assert.equal(masters.silence(ofUrl('https://a.example.com')), error);
  assert.equal(masters.silence(ofUrl('https://b.example.com')), undefined);
  nowMs += 1;
  assert.equal(masters.silence(ofUrl('https://a.example.com')), undefined);
});
