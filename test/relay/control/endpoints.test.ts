import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';

import type { EndpointSources } from '../../../relay/control/endpoints.ts';
import { MAX_ENDPOINTS, chooseEndpoints, parseEndpoints } from '../../../relay/control/endpoints.ts';
import { isUnspecified, parseAddress } from '../../../relay/protocol/address.ts';

const wildcard = { host: '0.0.0.0', port: 4000, family: 4 } as const;
const loopback = { host: '127.0.0.1', port: 4000, family: 4 } as const;
const specific = { host: '10.1.2.3', port: 4000, family: 4 } as const;

const none: EndpointSources = {
  bound: wildcard,
  advertise: [],
  controlDirectory: undefined,
  stun: undefined,
};
const stun = { server: 'stun.example:3478', mapped: '203.0.113.9:61000' };

test('fault 1: the bind address 0.0.0.0 is never registered', () => {
  for (const bound of [wildcard, { host: '::', port: 4000, family: 6 } as const]) {
    const { endpoints, problem } = chooseEndpoints({ ...none, bound });
    assert.deepEqual(endpoints, []);
    assert.match(problem!, /no address that peers can be sent to: give --advertise/);
  }
});

test('fault 1: --advertise, else the control directory, else STUN, else a specific listen address', () => {
  const all = {
    ...none,
    bound: specific,
    advertise: ['203.0.113.7:4000'],
    controlDirectory: ['203.0.113.8:4001'],
    stun,
  };
  assert.deepEqual(chooseEndpoints(all).endpoints, ['203.0.113.7:4000']);
  assert.deepEqual(chooseEndpoints({ ...all, advertise: [] }).endpoints, ['203.0.113.8:4001']);
  assert.deepEqual(chooseEndpoints({ ...all, advertise: [], controlDirectory: [] }).endpoints, [
    '203.0.113.9:61000',
  ]);
  assert.deepEqual(chooseEndpoints({ ...none, bound: specific }).endpoints, ['10.1.2.3:4000']);
});

test('a STUN server that has not answered is waited for, even with a specific listen address', () => {
  const { problem } = chooseEndpoints({ ...none, bound: specific, stun: { ...stun, mapped: undefined } });
  assert.match(problem!, /no answer from STUN server stun\.example:3478 yet/);
});

test('loopback is registered only when listening on loopback', () => {
  assert.deepEqual(chooseEndpoints({ ...none, bound: loopback }).endpoints, ['127.0.0.1:4000']);
  assert.deepEqual(parseEndpoints(['[::1]:9'], { host: '::1', port: 9, family: 6 }).endpoints, ['[::1]:9']);
  assert.match(
    parseEndpoints(['127.0.0.1:4000'], wildcard).problem!,
    /loopback address, while the relay listens on 0\.0\.0\.0:4000/,
  );
});

test('IPv4 comes first, as Master counts relays by the text before the first colon', () => {
  const { endpoints } = parseEndpoints(
    ['[2001:db8::1]:4000', '203.0.113.7:4000', '203.0.113.6:4000'],
    wildcard,
  );
  assert.deepEqual(endpoints, ['203.0.113.7:4000', '203.0.113.6:4000', '[2001:db8::1]:4000']);
});

test('one address in several spellings is one endpoint', () => {
  const { endpoints } = parseEndpoints(
    ['203.0.113.7:4000', '[::ffff:203.0.113.7]:4000', '[2001:DB8:0::1]:1', '[2001:db8::1]:1'],
    wildcard,
  );
  assert.deepEqual(endpoints, ['203.0.113.7:4000', '[2001:db8::1]:1']);
});

for (const [text, why] of [
  ['relay.example.com:4000', /is not a numeric ip:port/],
  ['203.0.113.7', /is not a numeric ip:port/],
  ['203.0.113.7:0', /port 0/],
  ['203.0.113.7:65536', /is not a numeric/],
  ['0.0.0.0:4000', /no address that peers/],
  ['[::]:4000', /no address that peers/],
  ['224.0.0.1:4000', /multicast/],
  ['[ff02::1]:4000', /multicast/],
  ['255.255.255.255:4000', /broadcast/],
  ['[fe80::1]:4000', /link-local/],
  ['', /is not a numeric/],
] as const) {
  test(`${text || 'nothing'} is no endpoint`, () => {
    const { endpoints, problem } = parseEndpoints(['203.0.113.7:4000', text], wildcard);
    assert.deepEqual(endpoints, [], 'one bad endpoint spoils the lot');
    assert.match(problem!, why);
  });
}

test('there is an end to how many', () => {
  const many = Array.from({ length: MAX_ENDPOINTS + 1 }, (_, i) => `203.0.113.7:${4000 + i}`);
  assert.match(parseEndpoints(many, wildcard).problem!, /too many/);
});

test('whatever is given: no crash, a short reason or only addresses that can be reached', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          fc.string(),
          fc.ipV4().map((ip) => `${ip}:4000`),
          fc.ipV6().map((ip) => `[${ip}]:1`),
        ),
        { maxLength: 4 },
      ),
      (texts) => {
        const { endpoints, problem } = parseEndpoints(texts, wildcard);
        assert.ok(problem === undefined || (endpoints.length === 0 && problem.length < 300));
        for (const endpoint of endpoints) {
          const words = parseAddress(endpoint);
          assert.ok(words && !isUnspecified(words, 0));
        }
      },
    ),
  );
});
