import assert from 'node:assert/strict';

import * as fc from 'fast-check';

import { ConfigError } from '../../relay/config/config-error.ts';
import type { Config } from '../../relay/config/config.ts';
import { IGNORED_VARIABLES, OPTION_ROWS } from '../../relay/config/options.ts';
import type { Option } from '../../relay/config/options.ts';
import { parseCommandLine } from '../../relay/config/parse.ts';
import { ALPHA } from '../relay/lease/leases.ts';
import { propertyTarget } from './target.ts';
import type { Target } from './target.ts';

const SECRET = 'c4n4ry-of-the-fuzz';
const WORKERS = 3;

export const commandLineTarget: Target = propertyTarget({
  name: 'command-line',
  about:
    'any flags and variables: a configuration within bounds, or one line of ConfigError that shows no secret',
  weight: 2,
  runs: 400,
  property: fc.property(argv(), environment(), checkCommandLine),
});

function value(option: Option): fc.Arbitrary<string> {
  const { kind } = option;
  const usual = usualValue(kind);
  const odd = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('', ' ', '-', '--', '--help', '=', ','),
  );
  const plain = fc.oneof({ weight: 5, arbitrary: usual }, { weight: 1, arbitrary: odd });
  return option.secret && kind.type === 'text' && kind.format === 'bearer-token'
    ? fc.oneof(fc.constantFrom(SECRET, `${SECRET} ${SECRET}`, `${SECRET}\n`), plain)
    : plain;
}

function usualValue(kind: Option['kind']): fc.Arbitrary<string> {
  switch (kind.type) {
    case 'integer':
      return fc.oneof(
        fc.integer({ min: kind.least, max: Math.min(kind.most, 2 ** 31 - 1) }).map(String),
        fc.constantFrom(
          String(kind.least - 1),
          String(kind.most + 1),
          '1e3',
          '0x10',
          '١٢',
          '99999999999999999999',
        ),
      );
    case 'boolean':
      return fc.constantFrom('1', '0', 'yes', 'off', 'TRUE', 'maybe');
    case 'choice':
      return fc.constantFrom(...kind.choices, 'Auto');
    default:
      return fc.constantFrom(
        '127.0.0.1:4000',
        '0.0.0.0:0',
        '[::1]:1',
        '10.0.0.1:4000',
        '203.0.113.7:1,203.0.113.8:2',
        'stun.example:3478',
        'http://master/',
        `http://user:${SECRET}@master/`,
        'debug,hyper=warn',
        `k1=${ALPHA.hex}`,
        'us-east-1',
        '/etc/wavry',
        '/a\0b',
        'x'.repeat(5000),
      );
  }
}

function argv(): fc.Arbitrary<string[]> {
  const flag = fc
    .constantFrom(...OPTION_ROWS.map(([, option]) => option))
    .chain((option) =>
      value(option).chain((text) =>
        fc.constantFrom(
          [`--${option.flag}=${text}`],
          [`--${option.flag}`, text],
          [`--${option.flag}`],
          [`--no-${option.flag}`],
          [`--${option.flag.slice(1)}=${text}`],
          [`-${option.flag}`, text],
        ),
      ),
    );
  const odd = fc.oneof(
    fc.constantFrom('--', '-', '', '--help', '-h', '-V', '-hV', '--=x', '--__proto__=1', '--constructor'),
    fc.string({ unit: 'binary' }),
  );
  // Mostly something that can start, so that the later checks are reached.
  const start = fc.constantFrom([], ['--listen=127.0.0.1:0'], ['--allow-public-bind']);
  const rest = fc.array(
    fc.oneof({ weight: 6, arbitrary: flag }, { weight: 1, arbitrary: odd.map((text) => [text]) }),
    {
      maxLength: 5,
    },
  );
  return fc.tuple(start, rest).map(([first, more]) => [...first, ...more.flat()]);
}

function environment(): fc.Arbitrary<Record<string, string>> {
  const names = OPTION_ROWS.flatMap(([, option]) =>
    [option.variable, ...(option.otherVariables ?? [])].map((name) => [name, option] as const),
  );
  const variable = fc
    .constantFrom(...names)
    .chain(([name, option]) => value(option).map((text) => [name, text] as const));
  const odd = fc.tuple(
    fc.constantFrom(...IGNORED_VARIABLES, 'WAVRY_RELAY_LISTENN', 'WAVRY_RELAY_X', '__proto__', 'RUST_LOG'),
    fc.string({ unit: 'binary' }),
  );
  return fc
    .array(fc.oneof({ weight: 4, arbitrary: variable }, { weight: 1, arbitrary: odd }), { maxLength: 4 })
    .map((entries) => {
      const env: Record<string, string> = Object.create(null) as Record<string, string>;
      for (const [name, text] of entries) env[name] = text;
      return env;
    });
}

function checkCommandLine(args: readonly string[], env: Record<string, string>): void {
  let result: ReturnType<typeof parseCommandLine>;
  try {
    result = parseCommandLine(args, env, { workers: WORKERS, memoryMib: 0 });
  } catch (error) {
    assert.ok(error instanceof ConfigError, `${String(error)} ${(error as Error).stack}`);
    assertPresentable(error.message);
    return;
  }
  if (result.kind === 'text') return;
  for (const warning of result.warnings) assertPresentable(warning);
  checkConfig(result.config);
}

function assertPresentable(line: string): void {
  assert.match(line, /^[^\p{Cc}\u2028\u2029]{1,1000}$/u);
  assert.ok(!line.includes(SECRET), 'a secret is shown');
}

function checkConfig(config: Config): void {
  for (const { host, port } of [config.listen, config.healthListen]) {
    assert.ok(host !== '' && Number.isInteger(port) && port >= 0 && port <= 65_535);
    if (!config.allowPublicBind)
      assert.match(host, /^(?:127\.|(?:::1|0*(?::0*)*:0*1)$|::ffff:127\.|::ffff:7f)/i);
  }
  for (const [key, figure] of Object.entries(config)) {
    if (typeof figure === 'number')
      assert.ok(Number.isSafeInteger(figure) && figure >= 0, `${key} is ${figure}`);
  }
  assert.ok(config.workers >= 1 && config.workers <= 64);
  assert.ok(config.maxSessions >= 1 && config.maxSessions <= 1_000_000);
  assert.ok(config.packetQueueCapacity >= 2);
  assert.equal(config.masterUrl.password + config.masterUrl.username, '');
  assert.ok(config.masterPublicKeys.every((key) => /^(?:[^=\s,]{1,128}=)?[0-9a-f]{64}$/.test(key)));
  if (config.allowInsecureDev) {
    assert.deepEqual([config.masterPublicKeys, config.masterKeysFile], [[], undefined]);
  }
  assert.ok(!(config.masterToken !== undefined && config.masterTokenFile !== undefined));
}
