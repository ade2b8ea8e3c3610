import { parseArgs } from 'node:util';

import { RUNBOOKS } from '../specs/runbook.ts';

/** What the operator is told at start. Durations in milliseconds. */
export interface Config {
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
  readonly namespaces: readonly string[];
  readonly relayImage: string;
  /** Page of the runbooks that alerts link to. */
  readonly runbooks: string;
  readonly listen: { readonly host: string; readonly port: number };
  /** Undefined: no metrics are served for autoscalers. */
  readonly metricsApi:
    | {
        readonly host: string;
        readonly port: number;
        /** Names of the Service and the Secret in the operator's own namespace. */
        readonly service: string;
        readonly secret: string;
      }
    | undefined;
  readonly leaderElect: boolean;
  readonly leaseNamespace: string | undefined;
  readonly leaseDurationMs: number;
  readonly renewDeadlineMs: number;
  readonly retryPeriodMs: number;
  readonly maxConcurrentRollouts: number;
  readonly workers: number;
  readonly pollIntervalMs: number;
  readonly pollThrough: 'auto' | 'direct' | 'proxy';
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
  readonly logFormat: 'json' | 'text';
}

/** A wrong flag or variable: one line for the person who wrote it; exit code 64 (sysexits EX_USAGE). */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

interface Option {
  readonly flag: string;
  readonly value?: string;
  readonly default?: string;
  readonly help: string;
}

const OPTIONS: readonly Option[] = [
  {
    flag: 'kubeconfig',
    value: 'FILE',
    help: 'kubeconfig to use; $KUBECONFIG, then the pod’s service account, then ~/.kube/config when absent',
  },
  { flag: 'context', value: 'NAME', help: 'context of the kubeconfig' },
  { flag: 'namespaces', value: 'A,B', default: '', help: 'namespaces to look after; all of them when empty' },
  {
    flag: 'relay-image',
    value: 'IMAGE',
    default: 'ghcr.io/wavry/wavry-relay:0.1.0',
    help: 'image of relays whose WavryRelay names none',
  },
  {
    flag: 'runbook-url',
    value: 'URL',
    default: RUNBOOKS,
    help: 'page of the runbooks, with a heading for each alert, that alerts link to',
  },
  {
    flag: 'listen',
    value: 'HOST:PORT',
    default: '[::]:8080',
    help: 'address of /healthz, /readyz and /metrics; [::] is every address, IPv4 included',
  },
  {
    flag: 'metrics-api-service',
    value: 'NAME',
    help: 'Service of this operator behind custom.metrics.k8s.io; no metrics are served for autoscalers when absent',
  },
  {
    flag: 'metrics-api-secret',
    value: 'NAME',
    help: 'Secret beside that Service that the certificate is kept in; named like the Service when absent',
  },
  {
    flag: 'metrics-api-listen',
    value: 'HOST:PORT',
    default: '[::]:10250',
    help: 'address of custom.metrics.k8s.io',
  },
  { flag: 'leader-elect', value: 'BOOL', default: 'true', help: 'only one of several operators acts' },
  {
    flag: 'lease-namespace',
    value: 'NAMESPACE',
    help: 'namespace of the leader’s Lease; the operator’s own when absent',
  },
  {
    flag: 'lease-duration',
    value: 'SECONDS',
    default: '15',
    help: 'after which another takes over from a leader unheard',
  },
  {
    flag: 'renew-deadline',
    value: 'SECONDS',
    default: '10',
    help: 'after which a leader that can’t renew stops',
  },
  {
    flag: 'retry-period',
    value: 'SECONDS',
    default: '2',
    help: 'between two tries to get or renew the lease',
  },
  {
    flag: 'max-concurrent-rollouts',
    value: 'N',
    default: '1',
    help: 'WavryRelays that may replace their relays at the same time',
  },
  { flag: 'workers', value: 'N', default: '4', help: 'WavryRelays worked on at the same time' },
  // With longer ones answers and counters were too old for the autoscaler before the next came (plan/demand.ts).
  { flag: 'poll-interval', value: 'SECONDS', default: '2', help: 'between two questions to each relay' },
  {
    flag: 'poll-through',
    value: 'auto|direct|proxy',
    default: 'auto',
    help: 'ask relays directly, or through the API server when the operator runs outside the cluster',
  },
  { flag: 'log-level', value: 'LEVEL', default: 'info', help: 'debug, info, warn or error' },
  { flag: 'log-format', value: 'json|text', default: 'json', help: 'form of the log lines' },
];

/**
 * Flags beat variables (`--relay-image` is WAVRY_OPERATOR_RELAY_IMAGE); an empty variable is an absent one.
 * Returns 'help' or 'version' when that was asked for. Throws UsageError.
 */
export function readConfig(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Config | 'help' | 'version' {
  const flags = parse(argv);
  if (flags['help'] === true) return 'help';
  if (flags['version'] === true) return 'version';
  const raw = (flag: string): { text: string | undefined; source: string } => {
    const given = flags[flag];
    if (typeof given === 'string') return { text: given, source: `--${flag}` };
    const variable = variableOf(flag);
    const value = env[variable];
    if (value !== undefined && value !== '') return { text: value, source: variable };
    return { text: OPTIONS.find((option) => option.flag === flag)?.default, source: `--${flag}` };
  };
  const number = (flag: string, least: number, most: number): number => {
    const { text, source } = raw(flag);
    const value = Number(text);
    if (
      text === undefined ||
      text.trim() === '' ||
      !Number.isFinite(value) ||
      value < least ||
      value > most
    ) {
      throw new UsageError(`${source}: ${quoted(text)} is not a number from ${least} to ${most}`);
    }
    return value;
  };
  const whole = (flag: string, least: number, most: number): number => {
    const value = number(flag, least, most);
    if (Number.isInteger(value)) return value;
    const { text, source } = raw(flag);
    throw new UsageError(`${source}: ${quoted(text)} is not a whole number`);
  };
  const milliseconds = (flag: string, least: number, most: number): number =>
    Math.round(number(flag, least, most) * 1000);
  const choice = <T extends string>(flag: string, choices: readonly T[]): T => {
    const { text, source } = raw(flag);
    if (!choices.includes(text as T))
      throw new UsageError(`${source}: ${quoted(text)} is not one of ${choices.join(', ')}`);
    return text as T;
  };

  const config: Config = {
    kubeconfig: raw('kubeconfig').text,
    context: raw('context').text,
    namespaces: namespaces(raw('namespaces')),
    relayImage: image(raw('relay-image')),
    runbooks: page(raw('runbook-url')),
    listen: address(raw('listen')),
    metricsApi: metricsApi(
      raw('metrics-api-service'),
      raw('metrics-api-secret'),
      address(raw('metrics-api-listen')),
    ),
    leaderElect: bool(raw('leader-elect')),
    leaseNamespace: raw('lease-namespace').text ?? env['POD_NAMESPACE'],
    leaseDurationMs: milliseconds('lease-duration', 1, 3600),
    renewDeadlineMs: milliseconds('renew-deadline', 0.5, 3600),
    retryPeriodMs: milliseconds('retry-period', 0.1, 600),
    maxConcurrentRollouts: whole('max-concurrent-rollouts', 1, 10_000),
    workers: whole('workers', 1, 64),
    pollIntervalMs: milliseconds('poll-interval', 0.1, 5),
    pollThrough: choice('poll-through', ['auto', 'direct', 'proxy']),
    logLevel: choice('log-level', ['debug', 'info', 'warn', 'error']),
    logFormat: choice('log-format', ['json', 'text']),
  };
  if (config.leaseDurationMs <= config.renewDeadlineMs || config.renewDeadlineMs <= config.retryPeriodMs) {
    throw new UsageError(
      '--lease-duration must be longer than --renew-deadline, and that longer than --retry-period',
    );
  }
  return config;
}

export function helpText(): string {
  const lines = OPTIONS.map((option) => {
    const left = `  --${option.flag}${option.value === undefined ? '' : ` ${option.value}`}`;
    const fallback = option.default === undefined || option.default === '' ? '' : ` [${option.default}]`;
    return `${left}\n      ${option.help}${fallback} (${variableOf(option.flag)})`;
  });
  return `wavry-relay-operator: looks after fleets of Wavry relays\n\nUsage: wavry-relay-operator [flags]\n       wavry-relay-operator check [flags]   whether an installed operator works; see check --help\n\n${lines.join('\n')}\n  --version\n  --help\n`;
}

function parse(argv: readonly string[]): Record<string, string | boolean | undefined> {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        ...Object.fromEntries(OPTIONS.map((option) => [option.flag, { type: 'string' as const }])),
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean' },
      },
      strict: true,
      allowPositionals: false,
    });
    return values;
  } catch (error) {
    throw new UsageError(`${problem(error instanceof Error ? error.message : String(error))}; see --help`);
  }
}

/** What parseArgs says, in one line and without its advice on positional arguments, of which there are none. */
function problem(message: string): string {
  return message
    .replaceAll(/\s+/g, ' ')
    .replace(/(?<='[^']*')\. (To specify a positional|This command does not take).*$/, '')
    .replace(/\.$/, '');
}

/** On one line, whatever is in it. */
function quoted(text: string | undefined): string {
  return JSON.stringify(text ?? '');
}

function variableOf(flag: string): string {
  return `WAVRY_OPERATOR_${flag.toUpperCase().replaceAll('-', '_')}`;
}

function bool({ text, source }: { text: string | undefined; source: string }): boolean {
  switch (text?.toLowerCase()) {
    case 'true':
    case '1':
    case 'yes':
      return true;
    case 'false':
    case '0':
    case 'no':
      return false;
    default:
      throw new UsageError(`${source}: ${quoted(text)} is neither true nor false`);
  }
}

interface RawOption {
  readonly text: string | undefined;
  readonly source: string;
}

function metricsApi(service: RawOption, secret: RawOption, listen: Config['listen']): Config['metricsApi'] {
  if (service.text === undefined) return undefined;
  for (const { text, source } of [service, secret]) {
    if (text !== undefined && !/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(text))
      throw new UsageError(`${source}: ${quoted(text)} is not the name of an object`);
  }
  return { ...listen, service: service.text, secret: secret.text ?? service.text };
}

/** RFC 1123 labels, each once. */
function namespaces({ text, source }: { text: string | undefined; source: string }): string[] {
  const names = (text ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  for (const name of names) {
    if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name))
      throw new UsageError(`${source}: ${quoted(name)} is not the name of a namespace`);
  }
  return [...new Set(names)];
}

function image({ text, source }: { text: string | undefined; source: string }): string {
  if (text === undefined || !/^\S+$/.test(text))
    throw new UsageError(`${source}: ${quoted(text)} is not the name of an image`);
  return text;
}

/** An anchor is added to it. */
function page({ text, source }: RawOption): string {
  if (text === undefined || !/^https?:\/\/[^\s#]+$/.test(text))
    throw new UsageError(
      `${source}: ${quoted(text)} is not the URL of a page, such as https://example.com/runbooks`,
    );
  return text;
}

function address({ text, source }: RawOption): Config['listen'] {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:[\]]*):([0-9]{1,5})$/.exec(text ?? '');
  const port = Number(match?.[2]);
  if (!match || port > 65_535)
    throw new UsageError(`${source}: ${quoted(text)} is not host:port, such as [::]:8080`);
  const host = match[1]!.replace(/^\[|\]$/g, '');
  return { host: host === '' ? '::' : host, port };
}
