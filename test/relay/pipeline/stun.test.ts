import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAddress } from '../../../relay/protocol/address.ts';
import { Harness } from './harness.ts';

const SERVER = '198.51.100.9:3478';
const ID = Uint8Array.from({ length: 12 }, (_, i) => i * 17 + 1);

/** A binding success response (RFC 8489) with XOR-MAPPED-ADDRESS 203.0.113.77:40000. */
function answer(id: Uint8Array = ID): Uint8Array {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0x0101);
  view.setUint16(2, 12);
  view.setUint32(4, 0x2112a442);
  bytes.set(id, 8);
  view.setUint16(20, 0x0020);
  view.setUint16(22, 8);
  view.setUint16(24, 1);
  view.setUint16(26, 40_000 ^ 0x2112);
  view.setUint32(28, (0xcb00714d ^ 0x2112a442) >>> 0);
  return bytes;
}

function asking(): Harness {
  const relay = new Harness();
  relay.pipeline.expectStun(parseAddress(SERVER)!, ID, relay.nowMs + 3000);
  return relay;
}

test('the answer of the server that was asked is taken, once', () => {
  const relay = asking();
  relay.pass(2999);
  assert.deepEqual(relay.send(answer(), SERVER), { kind: 'stun', mapped: '203.0.113.77:40000' });
  assert.equal(relay.count('stun_answer_packets'), 1);
  assert.deepEqual(relay.send(answer(), SERVER), { kind: 'drop', counter: 'invalid_packets' });
  relay.balanced();
});

test('forgery: an answer from elsewhere, too late, unasked, or with any byte of the id wrong is invalid', () => {
  const invalid = { kind: 'drop', counter: 'invalid_packets' };
  const relay = asking();
  assert.deepEqual(relay.send(answer(), '198.51.100.9:3479'), invalid);
  assert.deepEqual(relay.send(answer(), '198.51.100.8:3478'), invalid);
  for (let i = 0; i < 12; i++) {
    const id = ID.slice();
    id[i] = id[i]! ^ 1;
    assert.deepEqual(relay.send(answer(id), SERVER), invalid);
  }
  assert.deepEqual(relay.send(answer().slice(0, 20), SERVER), invalid);
  // None of them used the question up.
  assert.equal(relay.send(answer(), SERVER).kind, 'stun');
  const late = asking();
  late.pass(3000);
  assert.deepEqual(late.send(answer(), SERVER), invalid);
  const unasked = new Harness();
  assert.deepEqual(unasked.send(answer(), SERVER), invalid);
  for (const pipeline of [relay, late, unasked]) pipeline.balanced();
});

test('a later question takes the place of an earlier one', () => {
  const relay = asking();
  const other = ID.toReversed();
  relay.pipeline.expectStun(parseAddress(SERVER)!, other, relay.nowMs + 3000);
  assert.equal(relay.send(answer(), SERVER).kind, 'drop');
  assert.equal(relay.send(answer(other), SERVER).kind, 'stun');
  relay.balanced();
});
