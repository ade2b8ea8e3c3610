import assert from 'node:assert/strict';
import { suite, test } from 'node:test';

import fc from 'fast-check';

import { type Config, helpText, readConfig, UsageError } from '../../../operator/config/config.ts';

type Environment = Readonly<Record<string, string>>;

const DEFAULTS: Config = {
  kubeconfig: undefined,
  context: undefined,
  namespaces: [],
  relayImage: 'ghcr.io/wavry/wavry-relay:0.1.0',
  runbooks: 'https://github.com/wavry/wavry-relay/blob/main/docs/runbooks.md',
  listen: { host: '::', port: 8080 },
  metricsApi: undefined,
  leaderElect: true,
  leaseNamespace: undefined,
  leaseDurationMs: 15_000,
  renewDeadlineMs: 10_000,
  retryPeriodMs: 2000,
  maxConcurrentRollouts: 1,
  workers: 4,
  pollIntervalMs: 2000,
  pollThrough: 'auto',
  logLevel: 'info',
  logFormat: 'json',
};

/** Every flag with a value that isn't its default, another good one, and what each makes of the configuration. */
const FLAGS: Readonly<Record<string, readonly [value: string, part: Partial<Config>][]>> = {
  kubeconfig: [
    ['/a/config', { kubeconfig: '/a/config' }],
    ['other', { kubeconfig: 'other' }],
  ],
  context: [
    ['prod', { context: 'prod' }],
    ['stage', { context: 'stage' }],
  ],
  namespaces: [
    ['games, desk,,games', { namespaces: ['games', 'desk'] }],
    ['n'.repeat(63), { namespaces: ['n'.repeat(63)] }],
  ],
  'relay-image': [
    ['localhost:5000/relay@sha256:0a', { relayImage: 'localhost:5000/relay@sha256:0a' }],
    ['relay', { relayImage: 'relay' }],
  ],
  'runbook-url': [
    ['https://wiki.example.com/x?page=2', { runbooks: 'https://wiki.example.com/x?page=2' }],
    ['http://wiki', { runbooks: 'http://wiki' }],
  ],
  listen: [
    ['[::1]:0', { listen: { host: '::1', port: 0 } }],
    [':65535', { listen: { host: '::', port: 65_535 } }],
  ],
  'metrics-api-service': [
    ['metrics', { metricsApi: { host: '::', port: 10_250, service: 'metrics', secret: 'metrics' } }],
    ['m', { metricsApi: { host: '::', port: 10_250, service: 'm', secret: 'm' } }],
  ],
  'leader-elect': [
    ['false', { leaderElect: false }],
    ['No', { leaderElect: false }],
  ],
  'lease-namespace': [
    ['system', { leaseNamespace: 'system' }],
    ['other', { leaseNamespace: 'other' }],
  ],
  'lease-duration': [
    ['10.5', { leaseDurationMs: 10_500 }],
    ['3600', { leaseDurationMs: 3_600_000 }],
  ],
  'renew-deadline': [
    ['14', { renewDeadlineMs: 14_000 }],
    ['2.001', { renewDeadlineMs: 2001 }],
  ],
  'retry-period': [
    ['0.1', { retryPeriodMs: 100 }],
    ['9', { retryPeriodMs: 9000 }],
  ],
  'max-concurrent-rollouts': [
    ['10000', { maxConcurrentRollouts: 10_000 }],
    ['2', { maxConcurrentRollouts: 2 }],
  ],
  workers: [
    ['64', { workers: 64 }],
    ['1', { workers: 1 }],
  ],
  'poll-interval': [
    ['0.1', { pollIntervalMs: 100 }],
    ['5', { pollIntervalMs: 5000 }],
  ],
  'poll-through': [
    ['direct', { pollThrough: 'direct' }],
    ['proxy', { pollThrough: 'proxy' }],
  ],
  'log-level': [
    ['debug', { logLevel: 'debug' }],
    ['error', { logLevel: 'error' }],
  ],
  'log-format': [
    ['text', { logFormat: 'text' }],
    ['text', { logFormat: 'text' }],
  ],
};

function read(argv: readonly string[], env: Environment = {}): Config {
  const config = readConfig(argv, env);
  assert.ok(typeof config === 'object');
  return config;
}

function variableOf(flag: string): string {
  return `WAVRY_OPERATOR_${flag.toUpperCase().replaceAll('-', '_')}`;
}

/** The one line that a wrong flag or variable is answered with. */
function refusal(argv: readonly string[], env: Environment = {}): string {
  try {
    readConfig(argv, env);
  } catch (error) {
    assert.ok(error instanceof UsageError, String(error));
    return error.message;
  }
  return assert.fail(`${argv.join(' ')} was taken`);
}

suite('what the operator is told at start', () => {
  test('the defaults', () => {
    assert.deepEqual(read([]), DEFAULTS);
  });

  for (const [flag, [[value, part], [other, rest]]] of Object.entries(FLAGS) as [
    string,
    [[string, Partial<Config>], [string, Partial<Config>]],
  ][]) {
    test(`--${flag}, as a flag and as a variable; flags beat variables, the last flag the others`, () => {
      const variable = variableOf(flag);
      assert.deepEqual(read([`--${flag}=${value}`]), { ...DEFAULTS, ...part });
      assert.deepEqual(read([`--${flag}`, value]), { ...DEFAULTS, ...part });
      assert.deepEqual(read([], { [variable]: value }), { ...DEFAULTS, ...part });
      assert.deepEqual(read([`--${flag}=${other}`], { [variable]: value }), { ...DEFAULTS, ...rest });
      assert.deepEqual(read([`--${flag}=${value}`, `--${flag}=${other}`]), { ...DEFAULTS, ...rest });
      assert.deepEqual(read([], { [variable]: '' }), DEFAULTS, 'an empty variable is an absent one');
    });
  }

  test('where the metrics for autoscalers are served', () => {
    const argv = [
      '--metrics-api-service=metrics',
      '--metrics-api-secret=certificate',
      '--metrics-api-listen=127.0.0.1:443',
    ];
    assert.deepEqual(read(argv).metricsApi, {
      host: '127.0.0.1',
      port: 443,
      service: 'metrics',
      secret: 'certificate',
    });
    assert.equal(read(argv.slice(1)).metricsApi, undefined, 'nowhere without a Service');
  });

  test('the Lease is in the namespace of the pod, unless another is named', () => {
    const env = { POD_NAMESPACE: 'wavry-system' };
    assert.equal(read([], env).leaseNamespace, 'wavry-system');
    assert.equal(read(['--lease-namespace=other'], env).leaseNamespace, 'other');
  });

  for (const [text, value] of [
    ['true', true],
    ['TRUE', true],
    ['1', true],
    ['yes', true],
    ['false', false],
    ['0', false],
  ] as const)
    test(`--leader-elect=${text}`, () => {
      assert.equal(read([`--leader-elect=${text}`]).leaderElect, value);
    });

  test('help and version come before all else but a flag that there isn’t', () => {
    assert.equal(readConfig(['--help', '--workers=none'], {}), 'help');
    assert.equal(readConfig(['-h'], { WAVRY_OPERATOR_WORKERS: 'none' }), 'help');
    assert.equal(readConfig(['--version'], {}), 'version');
    assert.match(refusal(['--help', '--halp']), /--halp/);
  });

  test('the help names every flag with its variable and default, and nothing else', () => {
    const text = helpText();
    const named = [...text.matchAll(/^ {2}--([a-z-]+)/gm)].map((match) => match[1]!);
    assert.deepEqual(
      named.toSorted(),
      [...Object.keys(FLAGS), 'metrics-api-secret', 'metrics-api-listen', 'version', 'help'].toSorted(),
    );
    for (const flag of Object.keys(FLAGS)) assert.ok(text.includes(`(${variableOf(flag)})`), flag);
    assert.match(text, /--poll-interval SECONDS\n.*\[2\] \(WAVRY_OPERATOR_POLL_INTERVAL\)/);
  });
});

suite('what is refused, in one line that names the flag or the variable', () => {
  for (const [flag, value, line] of [
    ['namespaces', 'Games', '"Games" is not the name of a namespace'],
    ['namespaces', 'a,b c', '"b c" is not the name of a namespace'],
    ['namespaces', 'n'.repeat(64), `"${'n'.repeat(64)}" is not the name of a namespace`],
    ['relay-image', 'a b', '"a b" is not the name of an image'],
    ['listen', '8080', '"8080" is not host:port, such as [::]:8080'],
    ['listen', 'a:65536', '"a:65536" is not host:port, such as [::]:8080'],
    ['listen', '::1:80', '"::1:80" is not host:port, such as [::]:8080'],
    ['metrics-api-listen', 'x', '"x" is not host:port, such as [::]:8080'],
    [
      'runbook-url',
      'https://a.example/b#c',
      '"https://a.example/b#c" is not the URL of a page, such as https://example.com/runbooks',
    ],
    ['metrics-api-service', 'a/b', '"a/b" is not the name of an object'],
    ['leader-elect', 'maybe', '"maybe" is neither true nor false'],
    ['lease-duration', '0', '"0" is not a number from 1 to 3600'],
    ['renew-deadline', '3601', '"3601" is not a number from 0.5 to 3600'],
    ['retry-period', 'Infinity', '"Infinity" is not a number from 0.1 to 600'],
    ['max-concurrent-rollouts', '0', '"0" is not a number from 1 to 10000'],
    ['workers', '1.5', '"1.5" is not a whole number'],
    ['workers', ' ', '" " is not a number from 1 to 64'],
    ['poll-interval', '2s', '"2s" is not a number from 0.1 to 5'],
    ['poll-interval', '6', '"6" is not a number from 0.1 to 5'],
    ['poll-through', 'Direct', '"Direct" is not one of auto, direct, proxy'],
    ['log-level', 'trace', '"trace" is not one of debug, info, warn, error'],
    ['log-format', 'xml\nyaml', '"xml\\nyaml" is not one of json, text'],
  ] as const)
    test(`--${flag}=${JSON.stringify(value)}`, () => {
      assert.equal(refusal([`--${flag}=${value}`]), `--${flag}: ${line}`);
      assert.equal(refusal([], { [variableOf(flag)]: value }), `${variableOf(flag)}: ${line}`);
    });

  test('the Secret of the metrics, once there is a Service', () => {
    const argv = ['--metrics-api-service=m', '--metrics-api-secret=-'];
    assert.equal(refusal(argv), '--metrics-api-secret: "-" is not the name of an object');
  });

  test('an empty flag where something has to be', () => {
    for (const flag of ['relay-image', 'runbook-url', 'listen', 'workers', 'leader-elect', 'log-level'])
      assert.match(refusal([`--${flag}=`]), new RegExp(`^--${flag}: "" is `));
  });

  test('times of the leader’s election that don’t fit', () => {
    const line = '--lease-duration must be longer than --renew-deadline, and that longer than --retry-period';
    assert.equal(refusal(['--lease-duration=10']), line);
    assert.equal(refusal(['--renew-deadline=2']), line);
    assert.equal(refusal([], { WAVRY_OPERATOR_RETRY_PERIOD: '10' }), line);
  });

  for (const [argv, line] of [
    [['--reply-image=a'], "Unknown option '--reply-image'; see --help"],
    [['start'], "Unexpected argument 'start'; see --help"],
    [['--help=yes'], "Option '-h, --help' does not take an argument; see --help"],
    [['--workers'], "Option '--workers <value>' argument missing; see --help"],
  ] as const)
    test(argv.join(' '), () => {
      assert.equal(refusal(argv), line);
    });

  test('a flag in place of a value', () => {
    assert.match(
      refusal(['--context', '--workers']),
      /^Option '--context' argument is ambiguous\..* see --help$/,
    );
  });
});

test('whatever is given, there is a configuration or one line', () => {
  const flags = [...Object.keys(FLAGS), 'metrics-api-secret', 'metrics-api-listen'];
  const value = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('', '1', '-1', '1e9', 'NaN', 'true', 'a', '::', ':1', '[', '\n'),
  );
  const argument = fc.oneof(
    value,
    fc
      .tuple(fc.constantFrom(...flags, '__proto__', 'help'), value)
      .map(([flag, text]) => `--${flag}=${text}`),
  );
  const environment = fc.dictionary(fc.constantFrom(...flags.map(variableOf), 'POD_NAMESPACE'), value);
  fc.assert(
    fc.property(fc.array(argument, { maxLength: 6 }), environment, (argv, env) => {
      try {
        const config = readConfig(argv, env);
        if (typeof config !== 'object') return;
        assert.ok(config.retryPeriodMs > 0 && config.retryPeriodMs < config.renewDeadlineMs);
        assert.ok(Number.isInteger(config.workers) && config.workers >= 1);
      } catch (error) {
        assert.ok(error instanceof UsageError, String(error));
        assert.match(error.message, /^[^\n\r]+$/);
      }
    }),
    { numRuns: 500 },
  );
});
