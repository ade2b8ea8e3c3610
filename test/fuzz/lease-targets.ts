import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';

import * as fc from 'fast-check';

import { judgeClaims } from '../../relay/lease/claims.ts';
import { MAX_JSON_DEPTH, parseJsonObject } from '../../relay/lease/json-object.ts';
import {
  KeyRing,
  MAX_KEYS_PER_LEASE,
  newKeyRing,
  withAnswer,
  withPinnedKeys,
} from '../../relay/lease/key-ring.ts';
import { parseMasterKey } from '../../relay/lease/master-key.ts';
import { masterKeyObject } from '../../relay/lease/verification-key.ts';
import type { MasterKey } from '../../relay/lease/verification-key.ts';
import { parseRfc3339 } from '../../relay/lease/rfc3339.ts';
import { verifyLease } from '../../relay/lease/verify-lease.ts';
import { readRecord, RECORD_BYTES, relayKey, writeRecord } from '../../relay/session/record.ts';
import {
  ALPHA,
  BETA,
  keyOf,
  masterClaims,
  NOW_MS,
  RELAY,
  SESSION,
  signV4Public,
} from '../relay/lease/leases.ts';
import { parseSessionId } from '../../relay/protocol/session-id.ts';
import { RELAY_ID, START_WALL_MS } from './cast.ts';
import { mutated } from './mutation.ts';
import type { Random } from './random.ts';
import { anyRecord, withChecksum } from './records.ts';
import { bytesTarget, propertyTarget } from './target.ts';
import type { Target } from './target.ts';

const SESSION_ID: Uint8Array = parseSessionId(SESSION)!;
const RING = new KeyRing(newKeyRing([keyOf(ALPHA, 'k1'), keyOf(BETA)]));
const GOOD: readonly Uint8Array[] = [
  masterClaims(),
  { ...masterClaims(), kid: 'kx' },
  { ...masterClaims(), exp: undefined, nbf: undefined, iat: undefined, slimit: undefined },
].map((claims, i) =>
  ascii(signV4Public(JSON.stringify(claims), (i === 1 ? BETA : ALPHA).privateKey, i === 2 ? 'footer' : '')),
);
const GOOD_TEXTS = new Set(GOOD.map((token) => Buffer.from(token).toString('latin1')));

/** Sound keys, as soundness is asked before a key gets into a ring. */
const KEYS: readonly MasterKey[] = Array.from({ length: 6 }, (_, i) => {
  const prefix = Buffer.from('302e020100300506032b657004220420', 'hex');
  const privateKey = createPrivateKey({
    key: Buffer.concat([prefix, Buffer.alloc(32, i + 10)]),
    format: 'der',
    type: 'pkcs8',
  });
  const publicKey = createPublicKey(privateKey);
  assert.ok(verify(null, Buffer.from('a'), publicKey, sign(null, Buffer.from('a'), privateKey)));
  return {
    hex: Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url').toString('hex'),
    kid: i % 2 === 0 ? undefined : `k${i % 3}`,
  };
});

/** What reads leases, Master's keys and session records. */
export const leaseTargets: readonly Target[] = [
  bytesTarget({
    name: 'token',
    about: 'tokens that were tampered with, and noise: only the very bytes that Master signed are taken',
    generate: (random) =>
      random.oneIn(8)
        ? random.noise(random.below(1500)).map((byte) => byte & 0x7f)
        : mutated(random, random.pick(GOOD)).map((byte) => byte & 0x7f),
    check: (bytes) => {
      const context = { relayId: RELAY, keyRing: RING, nowMs: NOW_MS };
      const verdict = verifyLease(bytes, SESSION_ID, 0, context);
      const taken = 'lease' in verdict;
      assert.equal(taken, GOOD_TEXTS.has(Buffer.from(bytes).toString('latin1')));
    },
  }),
  propertyTarget({
    name: 'claims',
    about: 'any claims, insecure mode included: a grant is within every bound, anything else is a problem',
    runs: 400,
    property: fc.property(claims(), fc.boolean(), checkClaims),
  }),
  propertyTarget({
    name: 'json',
    about: 'any text as the claims: an object without a name twice as JSON.parse reads it, or nothing',
    runs: 600,
    property: fc.property(jsonText(), checkJson),
  }),
  propertyTarget({
    name: 'rfc3339',
    about: 'any text as a time: what is taken is what Date.parse makes of it',
    runs: 1000,
    property: fc.property(timeText(), (text) => {
      const ms = parseRfc3339(text);
      if (ms === undefined || /:60/.test(text)) return;
      assert.ok(Number.isFinite(ms));
      const cut = text.toUpperCase().replace(/(\.\d{3})\d+/, '$1');
      // A float64 of the year 9999 is exact to a thirtieth of a millisecond.
      const beyond = ms - Date.parse(cut);
      assert.ok(beyond >= 0 && beyond < 1.04, `${text} is ${beyond} ms after what Date.parse says`);
    }),
  }),
  propertyTarget({
    name: 'master-key',
    about: 'any text as a Master key: a key that node:crypto takes, or one line that does not show it',
    runs: 200,
    property: fc.property(keyText(), checkMasterKey),
  }),
  propertyTarget({
    name: 'key-ring',
    about: 'any history of pinned and learned keys: bounded, and nothing but pinned keys once there are any',
    runs: 100,
    property: fc.property(keyHistory(), checkKeyRing),
  }),
  bytesTarget({
    name: 'record',
    about:
      'any 256 bytes as a session record, with a right checksum too: nothing, or what writes the same bytes',
    generate: anyRecordBytes,
    check: checkRecordBytes,
  }),
];

function ascii(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'latin1'));
}

function claims(): fc.Arbitrary<Record<string, unknown>> {
  const time = fc.oneof(
    fc.integer({ min: -4_000_000, max: 4_000_000 }).map((ms) => new Date(NOW_MS + ms).toISOString()),
    timeText(),
  );
  const odd = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom(null, '', 0, -1, 1.5, 2 ** 32, NaN));
  const value = (usual: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
    fc.oneof({ weight: 5, arbitrary: usual }, { weight: 1, arbitrary: odd });
  return fc
    .record(
      {
        sid: value(fc.constantFrom(SESSION, SESSION.toUpperCase())),
        sub: value(fc.string({ unit: 'binary' })),
        role: value(fc.constantFrom('client', 'server')),
        rid: value(fc.constant(RELAY)),
        kid: value(fc.constantFrom('k1', 'k2')),
        exp_rfc3339: value(time),
        nbf_rfc3339: value(time),
        iat_rfc3339: value(time),
        exp: value(time),
        nbf: value(time),
        iat: value(time),
        slimit: value(fc.nat({ max: 2 ** 32 - 1 })),
        hlimit: value(fc.nat({ max: 2 ** 32 - 1 })),
      },
      { requiredKeys: ['sid', 'sub', 'role', 'rid', 'exp_rfc3339'] },
    )
    .map((record) => ({ ...record }));
}

function checkClaims(record: Record<string, unknown>, insecure: boolean): void {
  const context = {
    sessionId: SESSION_ID,
    role: 0,
    relayId: RELAY,
    keyId: insecure ? undefined : 'k1',
    nowMs: NOW_MS,
  } as const;
  const verdict = judgeClaims(new Map(Object.entries(record)), context);
  if ('problem' in verdict) return;
  const { subject, expiresMs, validUntilMs, issuedAtMs, softKbps, hardKbps } = verdict.grant;
  assert.notEqual(subject.trim(), '');
  assert.deepEqual([record['rid'], record['role']], [RELAY, 'client']);
  assert.ok(validUntilMs <= expiresMs && validUntilMs > NOW_MS - 30_000);
  assert.ok(expiresMs <= NOW_MS + 3_600_000);
  assert.ok(issuedAtMs === undefined || (issuedAtMs <= NOW_MS + 30_000 && issuedAtMs < expiresMs));
  assert.ok(softKbps >= 1000 && hardKbps >= softKbps && hardKbps <= 0xffff_ffff);
}

type JsonText = { readonly text: string; readonly sound: boolean | undefined };

/** With whether it is an object without a name twice, where that is known. */
function jsonText(): fc.Arbitrary<JsonText> {
  const name = fc.oneof(fc.constantFrom('sid', 'sub', '__proto__', 'a', ''), fc.string({ unit: 'binary' }));
  const members = fc.array(fc.tuple(name, fc.jsonValue({ maxDepth: 3 }), fc.boolean()), { maxLength: 6 });
  const object = members.map((entries): JsonText => {
    const texts = entries.map(([key, value, escaped]) => {
      const quoted = JSON.stringify(key);
      const written = escaped ? quoted.replace(/^"([a-z_])/, (_, c: string) => `"${escape(c)}`) : quoted;
      return `${written} : ${JSON.stringify(value)}`;
    });
    const names = entries.map(([key]) => key);
    const wellFormed = texts.every((text) => text.isWellFormed());
    return {
      text: `{${texts.join(',')}}`,
      sound: wellFormed ? new Set(names).size === names.length : undefined,
    };
  });
  const nested = fc.nat({ max: 2 * MAX_JSON_DEPTH }).map((depth): JsonText => {
    const text = `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`;
    return { text, sound: depth > 0 ? depth < MAX_JSON_DEPTH : false };
  });
  const anything = fc
    .oneof(fc.json(), fc.string({ unit: 'binary' }), fc.stringMatching(/^[{}[\]",:\\ a\d]{0,30}$/))
    .map((text): JsonText => ({ text, sound: undefined }));
  return fc.oneof(object, nested, anything);
}

function escape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function checkJson({ text, sound }: JsonText): void {
  const members = parseJsonObject(new Uint8Array(Buffer.from(text, 'utf8')));
  if (sound !== undefined) assert.equal(members !== undefined, sound, text);
  if (!members || !text.isWellFormed()) return;
  const value: unknown = JSON.parse(text);
  assert.ok(typeof value === 'object' && value !== null && !Array.isArray(value));
  assert.deepEqual([...members], Object.entries(value));
}

function timeText(): fc.Arbitrary<string> {
  const two = fc.nat({ max: 99 }).map((n) => String(n).padStart(2, '0'));
  const like = fc
    .tuple(fc.nat({ max: 9999 }), two, two, two, two, two, fc.stringMatching(/^(?:\.\d{0,10})?$/), zone())
    .map(
      ([year, month, day, hour, minute, second, fraction, zone]) =>
        `${String(year).padStart(4, '0')}-${month}-${day}T${hour}:${minute}:${second}${fraction}${zone}`,
    );
  const real = fc
    .tuple(fc.date({ min: new Date(0), max: new Date(4e12), noInvalidDate: true }), zone())
    .map(([date, zone]) => date.toISOString().replace('Z', zone));
  return fc.oneof(like, real, fc.string(), fc.stringMatching(/^[\d\-:.TZ+]{0,40}$/));
}

function zone(): fc.Arbitrary<string> {
  return fc.oneof(
    fc.constantFrom('Z', 'z', '+00:00', '-00:00', '+23:59', ''),
    fc.stringMatching(/^[+-]\d\d:\d\d$/),
  );
}

function keyText(): fc.Arbitrary<string> {
  const digits = fc.oneof(
    fc.constantFrom(ALPHA.hex, BETA.hex.toUpperCase(), '01'.padEnd(64, '0'), 'ff'.repeat(32)),
    fc.stringMatching(/^[0-9a-fA-F]{64}$/),
    fc.stringMatching(/^[0-9a-f]{0,70}$/),
  );
  const kid = fc.oneof(
    fc.constantFrom('', 'k1=', '=', 'a=b='),
    fc.string().map((text) => `${text}=`),
  );
  return fc.oneof(
    fc.tuple(kid, digits).map(([left, right]) => left + right),
    fc.string({ unit: 'binary' }),
  );
}

function checkMasterKey(text: string): void {
  const result = parseMasterKey(text);
  if ('key' in result) {
    const { hex, kid } = result.key;
    assert.match(hex, /^[0-9a-f]{64}$/);
    assert.ok(kid === undefined || /^[^\p{Cc}\p{Zl}\p{Zp}]{1,128}$/u.test(kid));
    const key = masterKeyObject(result.key);
    assert.equal(verify(null, Buffer.from('x'), key, Buffer.alloc(64)), false);
    return;
  }
  assert.doesNotMatch(result.problem, /[\r\n]/);
  const digits = /[0-9a-f]{16,}$/i.exec(text)?.[0];
  if (digits) assert.ok(!result.problem.includes(digits), 'the key is shown');
}

type KeyEvent = { readonly pinned: readonly number[] } | { readonly answer: number; readonly kid: string };

function keyHistory(): fc.Arbitrary<readonly KeyEvent[]> {
  const index = fc.nat({ max: KEYS.length - 1 });
  return fc.array(
    fc.oneof(
      fc.record({ pinned: fc.array(index, { maxLength: 4 }) }),
      fc.record({ answer: index, kid: fc.constantFrom('k1', 'k2', '') }),
    ),
    { maxLength: 40 },
  );
}

function checkKeyRing(events: readonly KeyEvent[]): void {
  let state = newKeyRing([]);
  let nowMs = NOW_MS;
  for (const event of events) {
    nowMs += 600_000;
    if ('pinned' in event) {
      state = withPinnedKeys(
        state,
        event.pinned.map((index) => KEYS[index]!),
      );
    } else {
      const key = { hex: KEYS[event.answer]!.hex, kid: event.kid === '' ? undefined : event.kid };
      state = withAnswer(state, key, nowMs);
    }
    assert.ok(state.answers.length <= 8);
    assert.deepEqual(structuredClone(state), state);
    const ring = new KeyRing(state);
    const pinned = state.pinned.map((key) => masterKeyObject(key).export({ format: 'jwk' }).x);
    for (const kid of [undefined, 'k1', 'k2', 'other']) {
      const keys = ring.keysFor(kid, nowMs);
      assert.ok(keys.length <= MAX_KEYS_PER_LEASE);
      assert.equal(keys.length > 0, state.pinned.length > 0 || state.answers.length > 0);
      if (pinned.length === 0) continue;
      for (const key of keys) assert.ok(pinned.includes(key.publicKey.export({ format: 'jwk' }).x));
    }
  }
}

function anyRecordBytes(random: Random): Uint8Array {
  const kind = random.below(8);
  if (kind === 0) return random.noise(random.pick([0, 1, 255, 256, 257, 600]));
  const record = anyRecord(random, START_WALL_MS);
  if (kind < 3) return record;
  return kind < 7 ? withChecksum(mutated(random, record)) : mutated(random, record);
}

function checkRecordBytes(bytes: Uint8Array): void {
  const record = readRecord(bytes, 0, RELAY_ID);
  if (!record) return;
  assert.ok(record.peers[0] !== undefined || record.peers[1] !== undefined);
  assert.ok(record.softKbps > 0 && record.hardKbps >= record.softKbps);
  const again = new Uint8Array(RECORD_BYTES);
  writeRecord(record, relayKey(RELAY_ID), again, 0);
  assert.deepEqual(readRecord(again, 0, RELAY_ID), record);
}
