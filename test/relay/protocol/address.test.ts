import assert from 'node:assert/strict';
import { BlockList, SocketAddress, isIPv4, isIPv6 } from 'node:net';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  ADDRESS_PORT,
  ADDRESS_SCOPE,
  ADDRESS_WORDS,
  copyAddress,
  formatAddress,
  formatIp,
  isBroadcast,
  isIpv4,
  isLinkLocal,
  isLoopback,
  isMulticast,
  isUnspecified,
  parseAddress,
  parseIp,
  sameAddress,
  sameIp,
} from '../../../relay/protocol/address.ts';

const port = fc.nat(0xffff);

function must(text: string): Int32Array {
  const words = parseAddress(text);
  assert.ok(words, text);
  return words;
}

test('the words of an address', () => {
  assert.deepEqual([...must('192.0.2.1:4000')], [0, 0, 0xffff, 0xc0000201 | 0, 4000, 0]);
  assert.deepEqual(
    [...must('[2001:db8:1:2:3:4:5:6]:65535')],
    [0x20010db8, 0x00010002, 0x00030004, 0x00050006, 65535, 0],
  );
  assert.deepEqual([...must('[fe80::1%7]:0')], [0xfe800000 | 0, 0, 0, 1, 0, 7]);
});

test('a v4-mapped address is the IPv4 one', () => {
  for (const text of ['[::ffff:192.0.2.1]:9', '[::ffff:c000:201]:9', '[0:0:0:0:0:FFFF:192.0.2.1]:9']) {
    assert.deepEqual(must(text), must('192.0.2.1:9'));
  }
  assert.equal(formatAddress(must('[::ffff:192.0.2.1]:9'), 0), '192.0.2.1:9');
});

test('only a link-local address keeps its scope', () => {
  assert.equal(formatAddress(must('[fe80::1%7]:5'), 0), '[fe80::1%7]:5');
  assert.equal(formatAddress(must('[febf::1%7]:5'), 0), '[febf::1%7]:5');
  assert.equal(formatAddress(must('[fec0::1%7]:5'), 0), '[fec0::1]:5');
  assert.equal(must('[2001:db8::1%7]:5')[ADDRESS_SCOPE], 0);
});

test('IPv4 text comes back as it was, any IPv6 address as Node writes it', () => {
  fc.assert(
    fc.property(fc.ipV4(), port, (ip, port) => {
      assert.equal(formatAddress(must(`${ip}:${port}`), 0), `${ip}:${port}`);
    }),
  );
  fc.assert(
    fc.property(fc.ipV6(), port, (ip, port) => {
      const words = must(`[${ip}]:${port}`);
      fc.pre(!isIpv4(words, 0));
      const node = new SocketAddress({ address: ip, family: 'ipv6' }).address;
      // inet_ntop writes ::a.b.c.d for the deprecated IPv4-compatible addresses, RFC 5952 has no need to.
      if (!node.includes('.')) assert.equal(formatAddress(words, 0), `[${node}]:${port}`);
      assert.deepEqual(must(formatAddress(words, 0)), words);
    }),
  );
});

test('RFC 5952: the longest run of zeros is compressed, the first of equals, never a single one', () => {
  for (const [text, short] of [
    ['0:0:0:0:0:0:0:0', '::'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['1:0:0:0:0:0:0:0', '1::'],
    ['2001:0db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:DB8::A', '2001:db8::a'],
  ] as const) {
    assert.equal(formatAddress(must(`[${text}]:1`), 0), `[${short}]:1`);
  }
});

test('what Node takes for an IP is read, and nothing else', () => {
  const words = new Int32Array(ADDRESS_WORDS);
  const pieces = fc.array(
    fc.oneof(
      fc.constantFrom(':', '::', '.', '%', '0', '00', 'ffff', 'fffff', '1', '255', '256', 'g', ' ', '-'),
    ),
    { maxLength: 18 },
  );
  const text = fc.oneof(
    fc.ipV6(),
    fc.ipV4(),
    fc.ipV4Extended(),
    pieces.map((all) => all.join('')),
    fc.string(),
  );
  fc.assert(
    fc.property(text, (ip) => {
      fc.pre(!ip.includes('%'));
      assert.equal(parseIp(ip, words, 0), isIPv4(ip) || isIPv6(ip), ip);
    }),
    { numRuns: 2000 },
  );
});

test('text that is no address is refused', () => {
  for (const text of [
    '',
    ':',
    '1.2.3.4',
    '1.2.3.4:',
    '1.2.3.4:-1',
    '1.2.3.4:65536',
    '1.2.3.4:000001',
    '1.2.3.4:0x10',
    '1.2.3.4: 5',
    '1.2.3:4',
    '01.2.3.4:5',
    '256.2.3.4:5',
    '1.2.3.4%1:5',
    '[1.2.3.4]:5',
    '::1:5',
    '[::1]',
    '[::1]5',
    '[::1:5',
    '::1]:5',
    '[]:5',
    '[:::]:5',
    '[1::2::3]:5',
    '[1:2:3:4:5:6:7:8:9]:5',
    '[1:2:3:4::5:6:7:8]:5',
    '[::1:2:3:4:5:6:7:8]:5',
    '[::1]:5x',
    '[1.2.3.4::]:5',
    '[fe80::1%eth0]:5',
    '[fe80::1%]:5',
    '[fe80::1%1%2]:5',
    'localhost:5',
    '*:5',
  ]) {
    assert.equal(parseAddress(text), undefined, JSON.stringify(text));
  }
});

test('a refused IP writes nothing', () => {
  const words = new Int32Array(ADDRESS_WORDS).fill(-7);
  assert.equal(parseIp('1.2.3.4.5', words, 0), false);
  assert.ok(words.every((word) => word === -7));
});

test('any text is parsed or refused, never thrown at, and what is read can be read again', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.webAuthority(),
        fc.string({ unit: fc.constantFrom('[', ']', ':', '.', '%', '0', '1', '2', 'a', 'f') }),
      ),
      (text) => {
        const words = parseAddress(text);
        if (words) assert.deepEqual(parseAddress(formatAddress(words, 0)), words);
      },
    ),
    { numRuns: 1000 },
  );
});

test('predicates agree with the ranges of the registries', () => {
  const lists = {
    loopback: new BlockList(),
    multicast: new BlockList(),
    linkLocal: new BlockList(),
  };
  lists.loopback.addSubnet('127.0.0.0', 8, 'ipv4');
  lists.loopback.addAddress('::1', 'ipv6');
  lists.multicast.addSubnet('224.0.0.0', 4, 'ipv4');
  lists.multicast.addSubnet('ff00::', 8, 'ipv6');
  lists.linkLocal.addSubnet('fe80::', 10, 'ipv6');
  const edges = fc.constantFrom(
    '0.0.0.0',
    '0.0.0.1',
    '127.0.0.1',
    '127.255.255.255',
    '126.255.255.255',
    '128.0.0.0',
    '223.255.255.255',
    '224.0.0.0',
    '239.255.255.255',
    '240.0.0.0',
    '255.255.255.254',
    '255.255.255.255',
    '::',
    '::1',
    '::2',
    '::7f00:1',
    '::ffff:0:0',
    'fe7f::',
    'fe80::',
    'febf:ffff::1',
    'fec0::',
    'feff::1',
    'ff00::',
    'ff02::1',
    'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
  );
  const words = new Int32Array(3 + ADDRESS_WORDS);
  fc.assert(
    fc.property(fc.oneof(edges, fc.ipV4(), fc.ipV6()), (ip) => {
      assert.ok(parseIp(ip, words, 3));
      const shown = formatIp(words, 3);
      const family = isIPv4(shown) ? 'ipv4' : 'ipv6';
      assert.equal(isIpv4(words, 3), family === 'ipv4');
      assert.equal(isLoopback(words, 3), lists.loopback.check(shown, family));
      assert.equal(isMulticast(words, 3), lists.multicast.check(shown, family));
      assert.equal(isLinkLocal(words, 3), lists.linkLocal.check(shown, family));
      assert.equal(isUnspecified(words, 3), shown === '0.0.0.0' || shown === '::');
      assert.equal(isBroadcast(words, 3), shown === '255.255.255.255');
    }),
    { numRuns: 500 },
  );
});

test('addresses are the same when every word is; hosts are when every word but the port is', () => {
  const a = must('[fe80::1:2%3]:4');
  const b = new Int32Array(ADDRESS_WORDS + 2);
  copyAddress(a, 0, b, 2);
  assert.equal(sameAddress(a, 0, b, 2), true);
  assert.equal(sameIp(a, 0, b, 2), true);
  for (let word = 0; word < ADDRESS_WORDS; word++) {
    b[2 + word]! ^= 0x8000_0000;
    assert.equal(sameAddress(a, 0, b, 2), false, `word ${word}`);
    assert.equal(sameIp(a, 0, b, 2), word === ADDRESS_PORT, `word ${word}`);
    b[2 + word]! ^= 0x8000_0000;
  }
});
