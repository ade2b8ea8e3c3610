import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as fc from 'fast-check';

import { ConfigError } from '../../../relay/config/config-error.ts';
import type { Config } from '../../../relay/config/config.ts';
import type { Environment } from '../../../relay/config/environment.ts';
import { OPTION_ROWS } from '../../../relay/config/options.ts';
import { type CommandLine, parseCommandLine } from '../../../relay/config/parse.ts';

const MACHINE = { workers: 3, memoryMib: 0 };
const LOOPBACK = { WAVRY_RELAY_LISTEN: '127.0.0.1:4000' };
const KEY = 'D75A980182B10AB7D54BFED3C964073A0EE172F3DAA62325AF021A68F707511A';

function run(
  argv: readonly string[],
  env: Environment = LOOPBACK,
): { config: Config; warnings: readonly string[] } {
  const outcome = parseCommandLine(argv, env, MACHINE);
  assert.equal(outcome.kind, 'run');
  return outcome;
}

function refusal(argv: readonly string[], env: Environment = LOOPBACK): string {
  try {
    parseCommandLine(argv, env, MACHINE);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    assert.doesNotMatch(error.message, /[\n\r]/);
    return error.message;
  }
  return assert.fail(`${argv.join(' ')} was accepted`);
}

test('more workers than fit into the container’s memory are refused, those that auto would start too', () => {
  const image = { ...LOOPBACK, WAVRY_LEAST_MEMORY_MIB: '128' };
  const start = (memoryMib: number, env: Environment, ...argv: readonly string[]): CommandLine =>
    parseCommandLine(argv, env, { workers: 4, memoryMib });
  assert.throws(
    () => start(193, image),
    new ConfigError(
      "the container's memory limit is 193 MiB and 4 workers need at least 194 MiB: raise it (docker run --memory, or resources.limits.memory of the pod), or have fewer (--workers)",
    ),
  );
  assert.throws(() => start(149, image, '--workers=2'), ConfigError);
  for (const outcome of [
    start(194, image),
    start(150, image, '--workers=2'),
    start(128, image, '--workers=1'),
    start(128, image, '--datapath=dgram'),
    start(0, image),
    start(64, LOOPBACK),
    start(64, { ...LOOPBACK, WAVRY_LEAST_MEMORY_MIB: '0' }),
  ])
    assert.equal(outcome.kind, 'run');
});

/** For each option: its default, and what a flag and a variable make of it. */
const EXAMPLES: Readonly<
  Record<string, { byDefault: unknown; text: string; becomes: unknown; other: string }>
> = {
  listen: {
    byDefault: { host: '127.0.0.1', port: 4000, family: 4 },
    text: '127.0.0.2:0',
    becomes: { host: '127.0.0.2', port: 0, family: 4 },
    other: '127.0.0.3:5',
  },
  allowPublicBind: { byDefault: false, text: 'yes', becomes: true, other: 'no' },
  advertise: { byDefault: [], text: '127.0.0.1:4001', becomes: ['127.0.0.1:4001'], other: '127.0.0.1:4002' },
  stunServer: {
    byDefault: undefined,
    text: 'stun.example.com:3478',
    becomes: 'stun.example.com:3478',
    other: '192.0.2.1:1',
  },
  masterUrl: {
    byDefault: new URL('http://localhost:8080'),
    text: 'https://m.example.com/x/',
    becomes: new URL('https://m.example.com/x/'),
    other: 'http://n',
  },
  masterPublicKeys: { byDefault: [], text: `k1=${KEY}`, becomes: [`k1=${KEY.toLowerCase()}`], other: KEY },
  masterKeysFile: { byDefault: undefined, text: '/etc/keys', becomes: '/etc/keys', other: 'b' },
  masterToken: { byDefault: undefined, text: 'abc', becomes: 'abc', other: 'def' },
  masterTokenFile: { byDefault: undefined, text: '/etc/token', becomes: '/etc/token', other: 'b' },
  relayId: {
    byDefault: undefined,
    text: '550e8400-e29b-41d4-a716-446655440000',
    becomes: '550e8400-e29b-41d4-a716-446655440000',
    other: 'relay-b',
  },
  region: { byDefault: undefined, text: 'us-east-1', becomes: 'us-east-1', other: 'eu west' },
  asn: { byDefault: undefined, text: '64500', becomes: 64500, other: '0' },
  maxBitrateKbps: { byDefault: 20000, text: '10000', becomes: 10000, other: '30000' },
  maxSessions: { byDefault: 100, text: '250', becomes: 250, other: '251' },
  maxThroughputMbps: { byDefault: undefined, text: '500', becomes: 500, other: '501' },
  loadShedThresholdPct: { byDefault: 95, text: '80', becomes: 80, other: '81' },
  ipRateLimitPps: { byDefault: 1000, text: '5000', becomes: 5000, other: '5001' },
  identityRateLimitPps: { byDefault: 200, text: '20', becomes: 20, other: '21' },
  packetQueueCapacity: { byDefault: 2048, text: '64', becomes: 64, other: '65' },
  idleTimeoutMs: { byDefault: 60_000, text: '30', becomes: 30_000, other: '31' },
  leaseDurationMs: { byDefault: 300_000, text: '3', becomes: 3000, other: '4' },
  cleanupIntervalMs: { byDefault: 10_000, text: '+1', becomes: 1000, other: '2' },
  renewOnTraffic: { byDefault: true, text: 'off', becomes: false, other: 'on' },
  rebindOnForward: { byDefault: 'port', text: 'off', becomes: 'off', other: 'port' },
  workers: { byDefault: 3, text: '2', becomes: 2, other: '8' },
  datapath: { byDefault: 'auto', text: 'mmsg', becomes: 'mmsg', other: 'auto' },
  healthListen: {
    byDefault: { host: '127.0.0.1', port: 9091, family: 4 },
    text: '[::1]:0',
    becomes: { host: '::1', port: 0, family: 6 },
    other: '127.0.0.1:9092',
  },
  stateDir: { byDefault: undefined, text: '/var/lib/relay', becomes: '/var/lib/relay', other: 'b' },
  controlDir: { byDefault: undefined, text: '/etc/podinfo', becomes: '/etc/podinfo', other: 'b' },
  drainTimeoutMs: { byDefault: 3_600_000, text: '0', becomes: 0, other: '1' },
  statsLogIntervalMs: { byDefault: 30_000, text: '60', becomes: 60_000, other: '61' },
  logLevel: { byDefault: 'info', text: 'wavry_relay=debug,hyper=warn', becomes: 'debug', other: 'error' },
  logFormat: { byDefault: 'text', text: 'json', becomes: 'json', other: 'text' },
  allowInsecureDev: { byDefault: false, text: '1', becomes: true, other: '0' },
};

test('every option has an example here', () => {
  assert.deepEqual(OPTION_ROWS.map(([key]) => key).toSorted(), Object.keys(EXAMPLES).toSorted());
});

for (const [key, option] of OPTION_ROWS) {
  const { byDefault, text, becomes, other } = EXAMPLES[key]!;
  const without = key === 'listen' ? LOOPBACK : { ...LOOPBACK };
  const of = (argv: readonly string[], env: Environment = {}): unknown =>
    run(argv, { ...without, ...env }).config[key];

  test(`--${option.flag}: default, flag, variable, and which wins`, () => {
    assert.deepEqual(of([]), byDefault);
    assert.deepEqual(of([`--${option.flag}`, text]), becomes);
    assert.deepEqual(of([`--${option.flag}=${text}`]), becomes);
    assert.deepEqual(of([], { [option.variable]: text }), becomes);
    assert.deepEqual(of([], { [option.variable]: `  ${text}\n` }), becomes, 'blanks around a variable');
    assert.deepEqual(
      of([`--${option.flag}=${text}`], { [option.variable]: other }),
      becomes,
      'the flag wins',
    );
    for (const flag of option.otherFlags ?? []) assert.deepEqual(of([`--${flag}`, text]), becomes);
    for (const name of option.otherVariables ?? []) {
      assert.deepEqual(of([], { [name]: text }), becomes);
      assert.deepEqual(of([], { [name]: other, [option.variable]: text }), becomes);
    }
  });

  test(`fault 15: an empty ${option.variable} is as good as none`, () => {
    const env = key === 'listen' ? { WAVRY_RELAY_ALLOW_PUBLIC_BIND: '1' } : LOOPBACK;
    const plain = run([], env).config[key];
    assert.deepEqual(run([], { ...env, [option.variable]: '' }).config[key], plain);
    assert.deepEqual(run([], { ...env, [option.variable]: ' \n' }).config[key], plain);
  });
}

test("fault 15: the guide's WAVRY_RELAY_ALLOW_INSECURE_DEV=1 and every other way to say yes or no", () => {
  for (const word of ['1', 'true', 'TRUE', 'yes', 'on', 'Yes']) {
    assert.equal(
      run([], { ...LOOPBACK, WAVRY_RELAY_ALLOW_INSECURE_DEV: word }).config.allowInsecureDev,
      true,
    );
  }
  for (const word of ['0', 'false', 'No', 'off']) {
    assert.equal(
      run([], { ...LOOPBACK, WAVRY_RELAY_ALLOW_INSECURE_DEV: word }).config.allowInsecureDev,
      false,
    );
  }
  assert.match(
    refusal([], { ...LOOPBACK, WAVRY_RELAY_ALLOW_INSECURE_DEV: 'maybe' }),
    /^WAVRY_RELAY_ALLOW_INSECURE_DEV "maybe": write 1, true/,
  );
});

test('a boolean flag stands alone, takes a word after it or after =', () => {
  assert.equal(run(['--allow-insecure-dev']).config.allowInsecureDev, true);
  assert.equal(run(['--allow-insecure-dev', '--region', 'x']).config.allowInsecureDev, true);
  assert.equal(run(['--renew-on-traffic', 'false', '--region', 'x']).config.renewOnTraffic, false);
  assert.equal(run(['--renew-on-traffic=0']).config.renewOnTraffic, false);
  assert.match(refusal(['--renew-on-traffic=maybe']), /^--renew-on-traffic "maybe": write/);
  assert.match(refusal(['--renew-on-traffic', 'maybe']), /argument 2, "maybe", belongs to no flag/);
});

test('fault 17: a public bind needs the one variable of the guide, in or out of a container', () => {
  const open = { WAVRY_RELAY_ALLOW_PUBLIC_BIND: '1' };
  assert.equal(run([], open).config.listen.host, '0.0.0.0');
  assert.equal(
    run(['--listen', '[::]:4000', '--health-listen', '0.0.0.0:9091'], open).config.listen.host,
    '::',
  );
  assert.equal(run(['--allow-public-bind', '--listen', '192.0.2.1:4000'], {}).config.allowPublicBind, true);
  assert.match(
    refusal([], {}),
    /^--listen 0\.0\.0\.0:4000 \(the default\) is open .*WAVRY_RELAY_ALLOW_PUBLIC_BIND=1/,
  );
  assert.match(
    refusal([], { WAVRY_RELAY_LISTEN: '192.0.2.1:4000' }),
    /^WAVRY_RELAY_LISTEN 192\.0\.2\.1:4000 is open/,
  );
  assert.match(refusal(['--health-listen', '[::]:9091']), /^--health-listen \[::\]:9091 is open/);
  assert.match(refusal(['--listen', '0.0.0.0:4000', '--allow-public-bind=false'], open), /is open/);
  for (const env of [
    { ...open, WAVRY_RELAY_ALLOW_HOST_PROD_BIND: '0' },
    { ...LOOPBACK, WAVRY_RELAY_ALLOW_HOST_PROD_BIND: '1' },
  ]) {
    assert.deepEqual(run([], env).warnings, [], 'accepted and ignored');
  }
  assert.match(refusal([], { WAVRY_RELAY_ALLOW_HOST_PROD_BIND: '1' }), /is open/);
});

test('what today’s relay moves into range is moved, with a warning', () => {
  const cases: [string, string, keyof Config, number][] = [
    ['max-sessions', '0', 'maxSessions', 1],
    ['max-sessions', '18446744073709551615', 'maxSessions', 262_144],
    ['ip-rate-limit-pps', '0', 'ipRateLimitPps', 1],
    ['identity-rate-limit-pps', '0', 'identityRateLimitPps', 1],
    ['packet-queue-capacity', '0', 'packetQueueCapacity', 2],
    ['cleanup-interval-secs', '0', 'cleanupIntervalMs', 1000],
    ['lease-duration-secs', '0', 'leaseDurationMs', 1000],
    ['idle-timeout', '0', 'idleTimeoutMs', 1000],
    ['stats-log-interval-secs', '1', 'statsLogIntervalMs', 5000],
    ['load-shed-threshold-pct', '10', 'loadShedThresholdPct', 50],
    ['load-shed-threshold-pct', '200', 'loadShedThresholdPct', 100],
  ];
  for (const [flag, text, key, becomes] of cases) {
    const { config, warnings } = run([`--${flag}=${text}`]);
    assert.equal(config[key], becomes, flag);
    assert.equal(warnings.length, 1);
    assert.match(warnings[0]!, new RegExp(`^--${flag} .* is out of range and taken as`));
  }
});

test('a bad value names flag or variable and says what to write', () => {
  const cases: [string[], Environment, RegExp][] = [
    [['--listen', 'localhost:4000'], {}, /^--listen "localhost:4000": write an IP address and a port/],
    [['--listen', ':4000'], {}, /^--listen ":4000"/],
    [['--listen', '127.0.0.1'], {}, /^--listen "127\.0\.0\.1"/],
    [['--listen', '127.0.0.1:65536'], {}, /^--listen/],
    [['--max-sessions', 'many'], {}, /^--max-sessions "many": write a whole number from 1 to 262144/],
    [['--max-sessions', '-5'], {}, /^--max-sessions "-5"/],
    [['--max-sessions', '1.5'], {}, /^--max-sessions "1\.5"/],
    [['--max-sessions', '1e3'], {}, /^--max-sessions "1e3"/],
    [[], { WAVRY_RELAY_ASN: 'AS64500' }, /^WAVRY_RELAY_ASN "AS64500": write a whole number/],
    [['--asn=4294967296'], {}, /^--asn/],
    [
      [],
      { WAVRY_RELAY_MAX_BITRATE: '9999' },
      /^WAVRY_RELAY_MAX_BITRATE "9999": write a whole number from 10000/,
    ],
    [['--workers', '0'], {}, /^--workers "0": write auto or a whole number/],
    [['--datapath', 'raw'], {}, /^--datapath "raw": write auto, mmsg,? or dgram/],
    [['--log-level', 'verbose'], {}, /^--log-level "verbose": write error, warn/],
    [['--log-format', 'xml'], {}, /^--log-format "xml": write text or json/],
    [['--master-url', 'master.example.com'], {}, /^--master-url "master\.example\.com": write an http/],
    [['--master-url', 'ftp://m'], {}, /^--master-url/],
    [['--master-url', 'http://m/?a=b'], {}, /^--master-url/],
    [
      ['--advertise', '0.0.0.0:4000'],
      {},
      /^--advertise "0\.0\.0\.0:4000": write the IP address and port that peers/,
    ],
    [['--advertise', '224.0.0.1:4000'], {}, /^--advertise/],
    [['--advertise', '192.0.2.1:0'], {}, /^--advertise/],
    [
      ['--stun-server', 'stun example.com'],
      {},
      /^--stun-server "stun example\.com": write a host and a port/,
    ],
    [['--stun-server', 'stun.example.com:70000'], {}, /^--stun-server/],
    [['--relay-id', 'a b'], {}, /^--relay-id "a b": write 1 to 128 printable/],
    [['--region', 'a\nb'], {}, /^--region "a\\nb"/],
    [['--max-sessions'], {}, /^--max-sessions needs a value: --max-sessions=NUMBER$/],
    [['--max-sessions', '--region', 'x'], {}, /^--max-sessions needs a value/],
    [['--state-dir', ''], {}, /^--state-dir has an empty value/],
    [['serve'], {}, /^argument 1, "serve", belongs to no flag/],
    // Found by the fuzzer: the name of a secret, mistyped, where flags are no longer looked for.
    [['--', '--aster-token=hidden'], {}, /^argument 2, "--aster-token=…", belongs to no flag/],
  ];
  for (const [argv, env, message] of cases) {
    assert.match(refusal(argv, { ...LOOPBACK, ...env }), message);
  }
  assert.equal(run(['--']).config.maxSessions, 100);
});

test('an unknown flag is answered with the nearest', () => {
  assert.equal(refusal(['--max-session', '5']), 'unknown flag --max-session: did you mean --max-sessions?');
  assert.equal(refusal(['--maxsessions=5']), 'unknown flag --maxsessions: did you mean --max-sessions?');
  assert.equal(refusal(['--max_sessions=5']), 'unknown flag --max_sessions: did you mean --max-sessions?');
  assert.equal(
    refusal(['--no-renew-on-traffic']),
    'unknown flag --no-renew-on-traffic: did you mean --renew-on-traffic=false?',
  );
  assert.equal(refusal(['--hepl']), 'unknown flag --hepl: did you mean --help?');
  assert.equal(refusal(['--frobnicate']), 'unknown flag --frobnicate: --help lists them all');
  assert.equal(refusal(['-x']), 'unknown flag -x: --help lists them all');
  assert.match(refusal(['--__proto__=1']), /^unknown flag --__proto__/);
  assert.match(refusal(['--constructor', 'x']), /^unknown flag --constructor/);
});

test('an empty region is none, as for today’s relay', () => {
  assert.equal(run(['--region', '']).config.region, undefined);
  assert.equal(run(['--region=', '--region', 'eu']).config.region, 'eu');
  assert.equal(run(['--region='], { ...LOOPBACK, WAVRY_RELAY_REGION: 'us' }).config.region, undefined);
});

test('contradictions', () => {
  assert.match(
    refusal(['--master-token', 'a', '--master-token-file', 'b']),
    /^--master-token and --master-token-file are both given/,
  );
  assert.match(
    refusal(['--datapath', 'dgram', '--workers', '2']),
    /^--workers 2: the dgram data path has one worker/,
  );
  assert.equal(run(['--datapath', 'dgram']).config.workers, 1);
  assert.match(refusal(['--max-sessions', '1', '--max-sessions', '2']), /^--max-sessions is given 2 times/);
  assert.equal(run(['--max-sessions', '7', '--max-sessions=7']).config.maxSessions, 7);
  assert.match(
    refusal(['--listen', '192.0.2.1:4000', '--allow-public-bind', '--advertise', '127.0.0.1:4000']),
    /^--advertise 127\.0\.0\.1:4000: peers elsewhere/,
  );
});

test('brackets fit an address of either family, as the pod’s own may be', () => {
  const open = { WAVRY_RELAY_ALLOW_PUBLIC_BIND: '1' };
  const listenOf = (text: string): unknown => run(['--listen', text], open).config.listen;
  assert.deepEqual(listenOf('[10.1.2.3]:4000'), { host: '10.1.2.3', port: 4000, family: 4 });
  assert.deepEqual(listenOf('[fd00::7]:4000'), { host: 'fd00::7', port: 4000, family: 6 });
  for (const wrong of ['[10.1.2]:4000', '[10.1.2.3:4000', '10.1.2.3]:4000', '[[10.1.2.3]]:4000', '[]:4000']) {
    assert.match(refusal(['--listen', wrong], open), /write an IP address and a port/, wrong);
  }
});

test('insecure development mode never on an address that strangers can reach, never beside a pinned key', () => {
  const insecure = { WAVRY_RELAY_ALLOW_INSECURE_DEV: '1', WAVRY_RELAY_ALLOW_PUBLIC_BIND: '1' };
  for (const listen of [
    '0.0.0.0:4000',
    '[::]:4000',
    '192.0.2.1:4000',
    '172.15.0.1:1',
    '172.32.0.1:1',
    '100.128.0.1:1',
    '198.20.0.1:1',
    '169.253.0.1:1',
    '11.0.0.1:1',
    '[fe00::1]:1',
    '[2001:db8::1]:4000',
  ]) {
    assert.match(refusal(['--listen', listen], insecure), /^WAVRY_RELAY_ALLOW_INSECURE_DEV=1 lets anybody/);
  }
  for (const listen of [
    '127.0.0.1:4000',
    '10.1.2.3:4000',
    '172.16.0.1:1',
    '192.168.0.1:1',
    '100.64.0.1:1',
    '198.18.0.100:1',
    '169.254.0.1:1',
    '[fd00::1]:4000',
    '[::1]:1',
  ]) {
    assert.equal(run(['--listen', listen], insecure).config.allowInsecureDev, true, listen);
  }
  const pinned = run(['--master-public-key', KEY], insecure);
  assert.equal(pinned.config.allowInsecureDev, false);
  assert.match(pinned.warnings.join(), /WAVRY_RELAY_ALLOW_INSECURE_DEV changes nothing: leases are verified/);
});

test('lists: repeated flags, commas and lines in variables, duplicates once', () => {
  const other = 'a'.repeat(64);
  assert.deepEqual(
    run(['--master-public-key', KEY, `--master-public-key=k2=${other}`]).config.masterPublicKeys,
    [KEY.toLowerCase(), `k2=${other}`],
  );
  assert.deepEqual(
    run([], { ...LOOPBACK, WAVRY_RELAY_MASTER_PUBLIC_KEY: `${KEY}, k2=${other}\n${KEY}` }).config
      .masterPublicKeys,
    [KEY.toLowerCase(), `k2=${other}`],
  );
  assert.deepEqual(
    run(['--advertise', '192.0.2.1:1,192.0.2.2:2', '--advertise', '[2001:db8::1]:3']).config.advertise,
    ['192.0.2.1:1', '192.0.2.2:2', '[2001:db8::1]:3'],
  );
  assert.match(
    refusal(Array.from({ length: 65 }, (_, i) => `--advertise=192.0.2.1:${i + 1}`)),
    /^--advertise .*at most 64/,
  );
});

test('RUST_LOG sets the level, our own flag and variable before it; nonsense in it is only a warning', () => {
  const level = (argv: string[], env: Environment): string =>
    run(argv, { ...LOOPBACK, ...env }).config.logLevel;
  assert.equal(level([], { RUST_LOG: 'debug' }), 'debug');
  assert.equal(level([], { RUST_LOG: 'hyper=trace,wavry_relay=warn' }), 'warn');
  assert.equal(level([], { RUST_LOG: 'debug', WAVRY_RELAY_LOG_LEVEL: 'error' }), 'error');
  assert.equal(level(['--log-level', 'warn'], { RUST_LOG: 'debug' }), 'warn');
  const odd = run([], { ...LOOPBACK, RUST_LOG: 'hyper=warn' });
  assert.equal(odd.config.logLevel, 'info');
  assert.match(odd.warnings.join(), /^RUST_LOG names no level for wavry_relay/);
});

test('a misspelled variable is a warning; those of Kubernetes for a Service named wavry-relay are not', () => {
  const { warnings } = run([], {
    ...LOOPBACK,
    WAVRY_RELAY_MAX_SESSION: '5',
    WAVRY_RELAY_PORT: 'udp://10.0.0.1:4000',
    WAVRY_RELAY_PORT_4000_UDP_ADDR: '10.0.0.1',
    WAVRY_RELAY_SERVICE_HOST: '10.0.0.1',
    WAVRY_RELAY_SOMETHING_ELSE: '1',
    WAVRY_MASTER_SERVICE_PORT: '80',
    WAVRY_MASTER_PORT: 'tcp://10.0.0.2:80',
  });
  assert.deepEqual(warnings, [
    'WAVRY_RELAY_MAX_SESSION is no variable of this relay and is ignored: did you mean WAVRY_RELAY_MAX_SESSIONS?',
  ]);
});

test('--help shows every flag with its default, variable and unit; --version shows the version', () => {
  for (const argv of [['--help'], ['-h'], ['--nonsense', '--help']]) {
    const outcome = parseCommandLine(argv, {}, MACHINE);
    assert.equal(outcome.kind, 'text');
    const text = (outcome as { text: string }).text;
    for (const [, option] of OPTION_ROWS) {
      assert.ok(text.includes(`--${option.flag}`), option.flag);
      assert.ok(text.includes(option.variable), option.variable);
      if (option.default !== undefined) assert.ok(text.includes(`default ${option.default}`), option.flag);
      if (option.kind.type === 'integer') assert.ok(text.includes(option.kind.unit), option.flag);
    }
    assert.ok(text.split('\n').every((line) => line.length <= 100));
  }
  const version = parseCommandLine(['-V'], {}, MACHINE);
  assert.match((version as { text: string }).text, /^wavry-relay \d+\.\d+\.\d+\n$/);
});

test('secrets are in no message', () => {
  const canary = 'c4n4ry-secret';
  const attempts: [string[], Environment][] = [
    [['--master-token', `${canary} x`], {}],
    [['--master-token', canary, canary], {}],
    [[`--master-token=${canary}`, '--master-token=other'], {}],
    [[`--master-tokn=${canary}`], {}],
    [['--master-tokn', canary], {}],
    [[`--master-token:${canary}`], {}],
    [['--master-auth-token', `\u00e9${canary}`], {}],
    [[`--master-public-key=${canary}`], {}],
    [[`--master-url=http://user:${canary}@host/`], {}],
    [['--master-url', `http://${canary}@host`], {}],
    [[], { WAVRY_RELAY_MASTER_TOKEN: `${canary}\u0000` }],
    [['--master-token-file', 'x'], { WAVRY_RELAY_MASTER_TOKEN: canary }],
    [[], { WAVRY_RELAY_MASTER_PUBLIC_KEY: canary }],
  ];
  for (const [argv, env] of attempts) {
    assert.ok(!refusal(argv, { ...LOOPBACK, ...env }).includes('c4n4ry'), argv.join(' '));
  }
});

test('any command line and environment gives a Config, a text, or a ConfigError of one line', () => {
  const flags = OPTION_ROWS.flatMap(([, option]) => [option.flag, ...(option.otherFlags ?? [])]);
  const value = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom(
      '1',
      '0',
      'true',
      '',
      '-',
      '--',
      '127.0.0.1:4000',
      '[::]:1',
      'a=b',
      KEY,
      'http://m',
      '99999999999999999999999',
      '-1',
    ),
    fc.webUrl(),
  );
  const argument = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom(...flags).map((flag) => `--${flag}`),
    fc.tuple(fc.constantFrom(...flags), value).map(([flag, text]) => `--${flag}=${text}`),
    value,
  );
  const variables = OPTION_ROWS.flatMap(([, option]) => [option.variable, ...(option.otherVariables ?? [])]);
  const env = fc.dictionary(
    fc.oneof(
      fc.constantFrom(...variables),
      fc.string().map((name) => `WAVRY_RELAY_${name}`),
    ),
    value,
    { maxKeys: 6 },
  );
  let accepted = 0;
  fc.assert(
    fc.property(fc.array(argument, { maxLength: 6 }), env, (argv, env) => {
      try {
        const outcome = parseCommandLine(argv, { ...LOOPBACK, ...env }, MACHINE);
        accepted++;
        if (outcome.kind === 'run') {
          assert.ok(Number.isInteger(outcome.config.maxSessions));
          for (const warning of outcome.warnings) assert.match(warning, /^[\x20-\x7e…’]*$/);
        }
      } catch (error) {
        assert.ok(error instanceof ConfigError, String(error));
        assert.match(error.message, /^[\x20-\x7e…]{1,600}$/, 'one printable line');
      }
    }),
    { numRuns: 2000 },
  );
  assert.ok(accepted > 20, `only ${accepted} accepted: the property tests nothing`);
});
