import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as fc from 'fast-check';

import { logFilterLevel } from '../../../relay/config/log-filter.ts';

test('plain levels, in any case, with trace as debug and digits as env_logger has them', () => {
  for (const [text, level] of [
    ['info', 'info'],
    ['INFO', 'info'],
    ['trace', 'debug'],
    ['warning', 'warn'],
    ['off', 'off'],
    ['1', 'error'],
    ['5', 'debug'],
  ] as const) {
    assert.equal(logFilterLevel(text), level);
  }
});

test('the longest matching target wins, the last of equals, others count for nothing', () => {
  for (const [text, level] of [
    ['wavry_relay=debug,hyper=warn', 'debug'],
    ['hyper=warn,wavry_relay=debug', 'debug'],
    ['info,wavry_relay=error', 'error'],
    ['wavry_relay=error,info', 'error'],
    ['wavry=warn,info', 'warn'],
    ['wavry-relay=debug', 'debug'],
    ['wavry_relay', 'debug'],
    ['info,wavry_relay::session=debug', 'debug'],
    ['info,wavry_relayer=debug', 'info'],
    ['wavry_relay[span{field=a,other=b}]=debug,info', 'debug'],
    ['info,wavry_relay[span{a=b}]', 'debug'],
    ['warn,wavry_relay=info,wavry_relay=error', 'error'],
    [' info , tokio=warn ', 'info'],
  ] as const) {
    assert.equal(logFilterLevel(text), level, text);
  }
});

test('what is not about the relay names no level', () => {
  for (const text of [
    '',
    ',',
    'hyper=warn',
    'verbose',
    'wavry_relay=loud',
    'a=b=c',
    'constructor',
    '__proto__',
    '[x]=info=',
  ]) {
    assert.equal(logFilterLevel(text), undefined, text);
  }
});

test('any text gives a level or none', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.string({
          unit: fc.constantFrom('wavry_relay', 'info', 'debug', 'x', '=', ',', '::', '[', ']', '{', '}'),
        }),
      ),
      (text) => {
        assert.ok([undefined, 'off', 'error', 'warn', 'info', 'debug'].includes(logFilterLevel(text)));
      },
    ),
  );
});
