import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { crc16Kermit } from '../../../relay/protocol/crc16.ts';
import {
  FORWARD_WORDS,
  ForwardKind,
  ForwardProblem,
  RIFT_HANDSHAKE_BYTES,
  RIFT_TRANSPORT_BYTES,
  forwardSequence,
  writeRiftHandshake,
  writeRiftTransport,
} from '../../../relay/protocol/rift.ts';
import { guardedBytes } from './guarded-bytes.ts';

interface Read {
  problem: number;
  sequence: bigint;
  alias: number;
  kind: number;
}

function read(payload: Uint8Array, offset = 20): Read {
  const out = new Uint32Array(FORWARD_WORDS);
  const problem = forwardSequence(guardedBytes(payload, offset), offset, payload.length, out);
  const [high, low, alias, kind] = out as unknown as [number, number, number, number];
  return { problem, sequence: (BigInt(high) << 32n) | BigInt(low), alias, kind };
}

/** An independent reading of wire reference 1, with bigint and DataView. */
function expected(payload: Uint8Array): Read {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const nothing = { sequence: 0n, alias: 0, kind: 0 };
  if (payload.length < 2 || payload[0] !== 0x52 || payload[1] !== 0x49) {
    if (payload.length < 8) return { problem: ForwardProblem.TooShort, ...nothing };
    return {
      problem: ForwardProblem.None,
      sequence: view.getBigUint64(0),
      alias: 0,
      kind: ForwardKind.Plain,
    };
  }
  if (payload.length < 18) return { problem: ForwardProblem.TooShort, ...nothing };
  if (view.getUint16(2) !== 1) return { problem: ForwardProblem.BadVersion, ...nothing };
  const transport = view.getUint32(4) !== 0 || payload.length < 30;
  const crcAt = transport ? 16 : 28;
  if (view.getUint16(crcAt) !== crc16Kermit(payload, 0, crcAt)) {
    return { problem: ForwardProblem.BadCrc, ...nothing };
  }
  return transport
    ? {
        problem: ForwardProblem.None,
        sequence: view.getBigUint64(8),
        alias: view.getUint32(4),
        kind: ForwardKind.RiftTransport,
      }
    : {
        problem: ForwardProblem.None,
        sequence: view.getBigUint64(20),
        alias: 0,
        kind: ForwardKind.RiftHandshake,
      };
}

function agrees(payload: Uint8Array): void {
  const is = read(payload);
  const should = expected(payload);
  if (should.problem === ForwardProblem.None) assert.deepEqual(is, should);
  else assert.equal(is.problem, should.problem);
}

function transport(alias: number, id: bigint, size = RIFT_TRANSPORT_BYTES): Uint8Array {
  const payload = new Uint8Array(Math.max(size, 18)).fill(0x5c, 18);
  writeRiftTransport(payload, 0, alias, Number(id >> 32n), Number(id & 0xffff_ffffn));
  return payload.subarray(0, size);
}

function handshake(id: bigint, size = RIFT_HANDSHAKE_BYTES): Uint8Array {
  const payload = new Uint8Array(Math.max(size, 30)).fill(0x5c, 30);
  writeRiftHandshake(payload, 0, [1, 2, 0xffff_ffff], Number(id >> 32n), Number(id & 0xffff_ffffn));
  return payload.subarray(0, size);
}

const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const u32 = fc.nat(0xffff_ffff);
const alias = fc.integer({ min: 1, max: 0xffff_ffff });

test('a transport header, byte for byte', () => {
  const payload = transport(0x0102_0304, 0x1112_1314_1516_1718n);
  const hex = Buffer.from(payload).toString('hex');
  assert.equal(hex.slice(0, 32), '52490001010203041112131415161718');
  assert.equal(hex.slice(32), crc16Kermit(payload, 0, 16).toString(16).padStart(4, '0'));
});

test('a handshake header, byte for byte', () => {
  const payload = handshake(0x1112_1314_1516_1718n);
  const hex = Buffer.from(payload).toString('hex');
  assert.equal(hex.slice(0, 56), '52490001000000000000000100000002ffffffff1112131415161718');
  assert.equal(hex.slice(56), crc16Kermit(payload, 0, 28).toString(16).padStart(4, '0'));
});

test('transport: sequence and alias over the full range, whatever follows', () => {
  fc.assert(
    fc.property(alias, u64, fc.integer({ min: 18, max: 1480 }), (alias, id, size) => {
      assert.deepEqual(read(transport(alias, id, size)), {
        problem: ForwardProblem.None,
        sequence: id,
        alias,
        kind: ForwardKind.RiftTransport,
      });
    }),
  );
});

test('handshake: sequence over the full range, no alias', () => {
  fc.assert(
    fc.property(u64, fc.integer({ min: 30, max: 1480 }), (id, size) => {
      assert.deepEqual(read(handshake(id, size)), {
        problem: ForwardProblem.None,
        sequence: id,
        alias: 0,
        kind: ForwardKind.RiftHandshake,
      });
    }),
  );
});

test('bytes 4..8 zero: under 30 bytes a transport header of alias 0, from 30 on a handshake', () => {
  for (const size of [18, 29]) {
    const { problem, kind, alias, sequence } = read(transport(0, 7n, size));
    assert.deepEqual(
      [problem, kind, alias, sequence],
      [ForwardProblem.None, ForwardKind.RiftTransport, 0, 7n],
    );
  }
  // The same bytes, one longer, are judged by the handshake's CRC, which they don't have.
  assert.equal(read(transport(0, 7n, 30)).problem, ForwardProblem.BadCrc);
  assert.equal(read(handshake(7n, 30)).kind, ForwardKind.RiftHandshake);
  assert.equal(read(handshake(7n, 30).subarray(0, 29)).problem, ForwardProblem.BadCrc);
});

test('"RI" decides: a short one is too short even where its bytes could be a plain sequence', () => {
  for (let size = 2; size < 18; size++) {
    assert.equal(read(transport(5, 1n).subarray(0, size)).problem, ForwardProblem.TooShort, `${size} bytes`);
  }
});

test('a RIFT version other than 1 is refused', () => {
  for (const version of [0, 2, 0x100, 0x101, 0xffff]) {
    const payload = transport(5, 1n);
    payload[2] = version >> 8;
    payload[3] = version & 0xff;
    assert.equal(read(payload).problem, ForwardProblem.BadVersion);
  }
});

test('any other payload is a plain u64, and shorter than 8 bytes invalid', () => {
  fc.assert(
    fc.property(u64, fc.nat(40), (sequence, more) => {
      const payload = new Uint8Array(8 + more);
      new DataView(payload.buffer).setBigUint64(0, sequence);
      fc.pre(payload[0] !== 0x52 || payload[1] !== 0x49);
      assert.deepEqual(read(payload), {
        problem: ForwardProblem.None,
        sequence,
        alias: 0,
        kind: ForwardKind.Plain,
      });
      assert.equal(read(payload.subarray(0, more % 8)).problem, ForwardProblem.TooShort);
    }),
  );
  assert.equal(read(Uint8Array.of(0x52, 0x48, 0, 0, 0, 0, 0, 9)).kind, ForwardKind.Plain);
});

test('a flipped bit in any header byte is noticed', () => {
  fc.assert(
    fc.property(alias, u64, u32, fc.boolean(), (alias, id, pick, shake) => {
      const payload = shake ? handshake(id, 40) : transport(alias, id, 40);
      const bits = (shake ? 30 : 18) * 8;
      const bit = pick % bits;
      payload[bit >> 3]! ^= 1 << (bit & 7);
      const { problem, kind } = read(payload);
      // A flip in the first two bytes makes it a plain payload; all else is a bad version or a bad CRC.
      if (bit < 16) assert.deepEqual([problem, kind], [ForwardProblem.None, ForwardKind.Plain]);
      else assert.notEqual(problem, ForwardProblem.None);
    }),
  );
});

test('any bytes, and any mutation of a RIFT frame, are read as the reference says and within their bounds', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 2000 }), agrees));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (content) => {
      agrees(Uint8Array.of(0x52, 0x49, 0, 1, ...content));
    }),
  );
  fc.assert(
    fc.property(
      u64,
      u32,
      fc.nat(60),
      fc.nat(59),
      fc.nat(255),
      fc.boolean(),
      (id, alias, size, at, value, shake) => {
        const payload = (shake ? handshake(id, 60) : transport(alias, id, 60)).slice(0, size);
        if (at < size) payload[at] = value;
        agrees(payload);
      },
    ),
  );
});

test('fault 12: every handshake message and its repetitions read as a RIFT handshake of packet id 0', () => {
  for (const size of [30, 31, 600]) {
    for (const repetition of [1, 2, 3]) {
      const { problem, kind, sequence } = read(handshake(0n, size));
      assert.deepEqual(
        [problem, kind, sequence],
        [ForwardProblem.None, ForwardKind.RiftHandshake, 0n],
        `repetition ${repetition}`,
      );
    }
  }
});
