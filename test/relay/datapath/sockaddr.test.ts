import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ADDRESS_PORT, ADDRESS_WORDS, parseAddress } from '../../../relay/protocol/address.ts';
import {
  readSockaddr,
  SOCKADDR_WORDS,
  sockaddrLength,
  writeSockaddr,
} from '../../../relay/datapath/sockaddr.ts';

const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const port = fc.integer({ min: 0, max: 65535 });

test('an IPv6 socket address is what the kernel headers say', () => {
  const native = new Int32Array(SOCKADDR_WORDS);
  writeSockaddr(native, 0, 6, parseAddress('[fe80::102:304%7]:4000')!, 0);
  assert.equal(
    Buffer.from(native.buffer, 0, sockaddrLength(6))
      .toString('hex')
      .replace(/^(.{4})(.{4})(.{8})(.{32})/, '$1 $2 $3 $4 '),
    '0a00 0fa0 00000000 fe800000000000000000000001020304 07000000',
  );
});

test('an IPv4 socket address is what the kernel headers say', () => {
  const native = new Int32Array(SOCKADDR_WORDS);
  writeSockaddr(native, 0, 4, parseAddress('198.51.100.7:65534')!, 0);
  assert.equal(
    Buffer.from(native.buffer, 0, sockaddrLength(4))
      .toString('hex')
      .replace(/^(.{4})(.{4})(.{8})/, '$1 $2 $3 '),
    '0200 fffe c6336407 0000000000000000',
  );
});

test('an IPv4 peer of an IPv6 socket stays v4-mapped', () => {
  const native = new Int32Array(SOCKADDR_WORDS);
  writeSockaddr(native, 0, 6, parseAddress('198.51.100.7:1')!, 0);
  assert.equal(Buffer.from(native.buffer, 8, 16).toString('hex'), '00000000000000000000ffffc6336407');
  const back = new Int32Array(ADDRESS_WORDS);
  readSockaddr(native, 0, 6, back, 0);
  assert.deepEqual(back, parseAddress('198.51.100.7:1'));
});

test('every address comes back as it went in, whatever lay there before', () => {
  fc.assert(
    fc.property(
      fc.tuple(word, word, word, word, port, word),
      fc.array(word, { minLength: 16, maxLength: 16 }),
      fc.boolean(),
      (words, rubbish, v6) => {
        const family = v6 ? 6 : 4;
        const address = Int32Array.from(words);
        if (!v6) address.set([0, 0, 0xffff, words[3], words[4], 0]);
        const native = Int32Array.from(rubbish);
        writeSockaddr(native, SOCKADDR_WORDS, family, address, 0);
        const back = new Int32Array(2 * ADDRESS_WORDS).fill(-1);
        readSockaddr(native, SOCKADDR_WORDS, family, back, ADDRESS_WORDS);
        assert.deepEqual(back.subarray(ADDRESS_WORDS), address);
        assert.deepEqual([...native.subarray(0, SOCKADDR_WORDS)], rubbish.slice(0, SOCKADDR_WORDS));
        assert.equal(back[ADDRESS_WORDS + ADDRESS_PORT], address[ADDRESS_PORT]);
      },
    ),
  );
});
