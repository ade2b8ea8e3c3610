import { readArguments } from './arguments.ts';
import { ConfigError, shown } from './config-error.ts';
import type { Config, LogLevel } from './config.ts';
import { refuseContradictions, secureDevelopment } from './contradictions.ts';
import type { Environment } from './environment.ts';
import { misspelledVariables, readVariable } from './environment.ts';
import { helpText } from './help.ts';
import { refuseTooLittleMemory } from './least-memory.ts';
import { logFilterLevel } from './log-filter.ts';
import type { Option, OptionKey } from './options.ts';
import { OPTION_ROWS, OPTIONS } from './options.ts';
import type { OptionValue } from './schema.ts';
import { wanted, wrongOptions } from './schema.ts';
import type { Settings } from './settings.ts';
import { toSocketAddress } from './text-formats.ts';
import { VERSION } from './version.ts';

export interface Machine {
  /** Workers that its granted cores can feed (relay/datapath/default-workers.ts). */
  readonly workers: number;
  /** Memory that the process's cgroup may use; 0 when that has no limit. */
  readonly memoryMib: number;
}

export type CommandLine =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'run'; readonly config: Config; readonly warnings: readonly string[] };

/** Reads flags and variables (flags win) into a Config. Throws ConfigError and nothing else. */
export function parseCommandLine(argv: readonly string[], env: Environment, machine: Machine): CommandLine {
  const given = readArguments(argv);
  if (given.help) return { kind: 'text', text: helpText() };
  if (given.version) return { kind: 'text', text: `wavry-relay ${VERSION}\n` };

  const warnings = misspelledVariables(env);
  const settings = settle(given.values, env, warnings);
  refuseContradictions(settings);
  const config = toConfig(secureDevelopment(settings, warnings), machine);
  refuseTooLittleMemory(config.workers, env, machine.memoryMib);
  return { kind: 'run', config, warnings };
}

function settle(
  flags: ReadonlyMap<OptionKey, readonly string[]>,
  env: Environment,
  warnings: string[],
): Settings {
  const values: Partial<Record<OptionKey, OptionValue>> = {};
  const origins = new Map<OptionKey, string>();
  const written = new Map<OptionKey, readonly string[]>();

  for (const [key, option] of OPTION_ROWS) {
    const source = readSource(option, flags.get(key), env, warnings);
    const texts = source?.texts ?? (option.default === undefined ? [] : [option.default]);
    if (source) origins.set(key, source.name);
    written.set(key, texts);
    const value = toValue(option, texts);
    if (value !== undefined) values[key] = intoRange(option, value, source?.name, warnings);
  }

  const wrong = wrongOptions(values);
  for (const [key, option] of OPTION_ROWS) {
    if (wrong.has(key)) throw new ConfigError(complaint(option, origins.get(key), written.get(key)!));
  }
  return { values, origins };
}

interface Source {
  readonly name: string;
  readonly texts: readonly string[];
}

function readSource(
  option: Option,
  flag: readonly string[] | undefined,
  env: Environment,
  warnings: string[],
): Source | undefined {
  const list = option.kind.type === 'text' && option.kind.list === true;
  if (flag) {
    const texts = flag.flatMap((text) => (list ? text.split(',') : [text])).map((text) => text.trim());
    const different = new Set(texts.filter((text) => text !== ''));
    if (!list && different.size > 1) {
      throw new ConfigError(`--${option.flag} is given ${flag.length} times with different values: keep one`);
    }
    return different.size === 0 ? undefined : { name: `--${option.flag}`, texts: [...different] };
  }
  const variable = readVariable(env, option);
  if (!variable) return undefined;
  if (variable.name === 'RUST_LOG' && logFilterLevel(variable.text) === undefined) {
    warnings.push(`RUST_LOG names no level for wavry_relay and is ignored: write error, warn, info or debug`);
    return undefined;
  }
  const texts = list ? variable.text.split(/[,\s]+/).filter((text) => text !== '') : [variable.text];
  return texts.length === 0 ? undefined : { name: variable.name, texts: [...new Set(texts)] };
}

/** The text as its kind reads it; a text that can't be read stays one, for the schema to refuse. */
function toValue({ kind }: Option, texts: readonly string[]): OptionValue | undefined {
  const text = texts[0];
  if (text === undefined || (kind.type === 'integer' && text === kind.word)) return undefined;
  if (kind.type === 'integer') return /^\+?\d{1,20}$/.test(text) ? Number(text) : text;
  if (kind.type === 'boolean') return readTruth(text) ?? text;
  return kind.type === 'text' && kind.list ? texts : text;
}

function readTruth(text: string): boolean | undefined {
  if (/^(?:1|true|yes|on)$/i.test(text)) return true;
  return /^(?:0|false|no|off)$/i.test(text) ? false : undefined;
}

/** Moves a number into its range where today's relay does, and says so. */
function intoRange(
  option: Option,
  value: OptionValue,
  name: string | undefined,
  warnings: string[],
): OptionValue {
  const { kind } = option;
  if (kind.type !== 'integer' || kind.outOfRange !== 'clamp' || typeof value !== 'number') return value;
  const moved = Math.min(Math.max(value, kind.least), kind.most);
  if (moved !== value) {
    warnings.push(`${name} ${value} is out of range and taken as ${moved}: write ${wanted(option)}`);
  }
  return moved;
}

function complaint(option: Option, name: string | undefined, texts: readonly string[]): string {
  const text = texts.join(',');
  const value = option.secret ? `(a value of ${text.length} characters, not shown)` : shown(text);
  return `${name ?? `--${option.flag}`} ${value}: write ${wanted(option)}`;
}

function toConfig({ values }: Settings, machine: Machine): Config {
  const number = (key: OptionKey): number => values[key] as number;
  const text = (key: OptionKey): string | undefined => values[key] as string | undefined;
  const list = (key: OptionKey): readonly string[] => (values[key] as readonly string[] | undefined) ?? [];
  return {
    listen: toSocketAddress(text('listen')!),
    healthListen: toSocketAddress(text('healthListen')!),
    masterUrl: new URL(text('masterUrl')!),
    masterPublicKeys: list('masterPublicKeys').map(lowerCaseKey),
    masterKeysFile: text('masterKeysFile'),
    masterToken: text('masterToken'),
    masterTokenFile: text('masterTokenFile'),
    allowInsecureDev: values.allowInsecureDev === true,
    allowPublicBind: values.allowPublicBind === true,
    relayId: text('relayId'),
    region: text('region'),
    asn: values.asn as number | undefined,
    maxBitrateKbps: number('maxBitrateKbps'),
    maxSessions: number('maxSessions'),
    maxThroughputMbps: values.maxThroughputMbps as number | undefined,
    idleTimeoutMs: number('idleTimeoutMs') * 1000,
    leaseDurationMs: number('leaseDurationMs') * 1000,
    cleanupIntervalMs: number('cleanupIntervalMs') * 1000,
    renewOnTraffic: values.renewOnTraffic === true,
    rebindOnForward: values.rebindOnForward as Config['rebindOnForward'],
    ipRateLimitPps: number('ipRateLimitPps'),
    identityRateLimitPps: number('identityRateLimitPps'),
    packetQueueCapacity: number('packetQueueCapacity'),
    loadShedThresholdPct: number('loadShedThresholdPct'),
    workers: workerCount(values, machine),
    workersAsked: values.workers !== undefined,
    datapath: values.datapath as Config['datapath'],
    advertise: list('advertise'),
    stunServer: text('stunServer'),
    controlDir: text('controlDir'),
    stateDir: text('stateDir'),
    drainTimeoutMs: number('drainTimeoutMs') * 1000,
    statsLogIntervalMs: number('statsLogIntervalMs') * 1000,
    logLevel: logFilterLevel(text('logLevel') ?? OPTIONS.logLevel.default) as LogLevel,
    logFormat: values.logFormat as Config['logFormat'],
  };
}

function workerCount(values: Settings['values'], machine: Machine): number {
  return (values.workers as number | undefined) ?? (values.datapath === 'dgram' ? 1 : machine.workers);
}

function lowerCaseKey(key: string): string {
  const hex = key.lastIndexOf('=') + 1;
  return key.slice(0, hex) + key.slice(hex).toLowerCase();
}
