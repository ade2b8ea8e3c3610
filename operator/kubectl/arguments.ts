import { parseArgs } from 'node:util';

import { durationSeconds } from '../api/duration.ts';
import { UsageError } from './cli-error.ts';

export const VERBS = ['status', 'sessions', 'why', 'drain', 'undrain'] as const;
export type Verb = (typeof VERBS)[number];

export const FORMATS = ['json', 'yaml', 'wide', 'name'] as const;
export type Format = (typeof FORMATS)[number];

export const DRY_RUNS = ['none', 'client', 'server'] as const;

/** Flags that say which cluster, and as whom: the names and meanings of kubectl's own. */
export interface AccessFlags {
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
  readonly cluster: string | undefined;
  readonly user: string | undefined;
  readonly server: string | undefined;
  readonly tlsServerName: string | undefined;
  readonly certificateAuthority: string | undefined;
  readonly insecureSkipTlsVerify: boolean;
  readonly token: string | undefined;
  readonly clientCertificate: string | undefined;
  readonly clientKey: string | undefined;
  readonly as: string | undefined;
  readonly asUid: string | undefined;
  readonly asGroups: readonly string[];
  /** Of one request; undefined: no limit but the client's own. */
  readonly requestTimeoutSeconds: number | undefined;
}

export interface CommandLine {
  readonly verb: Verb;
  readonly names: readonly string[];
  readonly access: AccessFlags;
  readonly namespace: string | undefined;
  readonly allNamespaces: boolean;
  readonly selector: string | undefined;
  readonly output: Format | undefined;
  readonly noHeaders: boolean;
  readonly dryRun: (typeof DRY_RUNS)[number];
  readonly wait: boolean;
  /** How long to wait, seconds; 0: as long as it takes. */
  readonly timeoutSeconds: number;
}

export interface FlagHelp {
  readonly type: 'string' | 'boolean';
  readonly short?: string;
  readonly multiple?: true;
  readonly text: string;
  /** Verbs that take it; absent: all. */
  readonly verbs?: readonly Verb[];
}

const READING: readonly Verb[] = ['status', 'sessions'];
const WRITING: readonly Verb[] = ['drain', 'undrain'];

export const FLAGS: Readonly<Record<string, FlagHelp>> = {
  namespace: { type: 'string', short: 'n', text: 'Namespace, instead of that of the context.' },
  'all-namespaces': { type: 'boolean', short: 'A', text: 'Every namespace.', verbs: READING },
  selector: { type: 'string', short: 'l', text: 'Only WavryRelays with these labels.', verbs: READING },
  output: {
    type: 'string',
    short: 'o',
    text: 'json, yaml, wide or name.',
    verbs: ['status', 'sessions', 'why'],
  },
  'no-headers': { type: 'boolean', text: 'Tables without their first line.', verbs: READING },
  'dry-run': { type: 'string', text: 'none, client or server.', verbs: WRITING },
  wait: { type: 'boolean', text: 'Wait until the relays are gone.', verbs: ['drain'] },
  timeout: { type: 'string', text: 'Longest wait, such as 90s or 1h; 0s: none.', verbs: ['drain'] },
  context: { type: 'string', text: 'Context of the kubeconfig.' },
  cluster: { type: 'string', text: 'Cluster of the kubeconfig.' },
  user: { type: 'string', text: 'User of the kubeconfig.' },
  kubeconfig: { type: 'string', text: 'The kubeconfig file.' },
  server: { type: 'string', short: 's', text: 'Address of the API server.' },
  'tls-server-name': { type: 'string', text: 'Name that the API server’s certificate has to bear.' },
  'certificate-authority': { type: 'string', text: 'File of the authority that signs the API server’s.' },
  'insecure-skip-tls-verify': { type: 'boolean', text: 'Take whatever certificate the API server shows.' },
  token: { type: 'string', text: 'Bearer token for the API server.' },
  'client-certificate': { type: 'string', text: 'File of the certificate to show the API server.' },
  'client-key': { type: 'string', text: 'File of its key.' },
  'request-timeout': { type: 'string', text: 'Longest wait for one answer, such as 5s; 0: no limit.' },
  as: { type: 'string', text: 'User to impersonate.' },
  'as-uid': { type: 'string', text: 'UID to impersonate.' },
  'as-group': { type: 'string', multiple: true, text: 'Group to impersonate; may be repeated.' },
  help: { type: 'boolean', short: 'h', text: 'What it does and takes.' },
};

export function takesFlag(verb: Verb, name: string): boolean {
  return FLAGS[name]?.verbs?.includes(verb) ?? true;
}

/** Throws UsageError. */
export function readArguments(
  args: readonly string[],
): CommandLine | { readonly help: Verb | undefined } | 'version' {
  const { values, positionals } = parse(args);
  const [first, ...names] = positionals;
  if (first === 'help') return { help: names[0] === undefined ? undefined : verbOf(names[0]) };
  if (first === 'version') return 'version';
  if (first === undefined) {
    if (values['help'] === true || args.length === 0) return { help: undefined };
    throw new UsageError(`say what to do: ${VERBS.join(', ')}`);
  }
  const verb = verbOf(first);
  if (values['help'] === true) return { help: verb };
  const foreign = Object.keys(values).find((name) => !takesFlag(verb, name));
  if (foreign !== undefined) throw new UsageError(`unknown flag for ${verb}: --${foreign}`);
  // Empty is unset, as kubectl has it.
  const text = (name: string): string | undefined => (values[name] as string | undefined) || undefined;
  const output = oneOf('--output', text('output'), FORMATS);
  if (verb === 'why' && names.length !== 1) {
    throw new UsageError('why takes one name: of a WavryRelay, or of one of its relays');
  }
  if (verb === 'why' && (output === 'wide' || output === 'name')) {
    throw new UsageError(`--output: why has json and yaml, not ${output}`);
  }
  if (WRITING.includes(verb) && names.length === 0) {
    throw new UsageError(`${verb} takes the names of relays; "kubectl wavry sessions" lists them`);
  }
  const allNamespaces = values['all-namespaces'] === true;
  if (allNamespaces && names.length > 0) {
    throw new UsageError('a resource cannot be retrieved by name across all namespaces');
  }
  if (text('selector') !== undefined && names.length > 0) {
    throw new UsageError('selectors and names do not go together');
  }
  return {
    verb,
    names,
    access: accessFlags(
      text,
      values['insecure-skip-tls-verify'] === true,
      (values['as-group'] as string[] | undefined) ?? [],
    ),
    namespace: text('namespace'),
    allNamespaces,
    selector: text('selector'),
    output,
    noHeaders: values['no-headers'] === true,
    // But not here: who writes --dry-run= wants no change.
    dryRun: oneOf('--dry-run', values['dry-run'] as string | undefined, DRY_RUNS) ?? 'none',
    wait: values['wait'] === true,
    timeoutSeconds: seconds('--timeout', text('timeout') ?? '0s'),
  };
}

/** Throws UsageError. */
export function accessFlags(
  text: (name: string) => string | undefined,
  insecureSkipTlsVerify: boolean,
  asGroups: readonly string[],
): AccessFlags {
  return {
    kubeconfig: text('kubeconfig'),
    context: text('context'),
    cluster: text('cluster'),
    user: text('user'),
    server: text('server'),
    tlsServerName: text('tls-server-name'),
    certificateAuthority: text('certificate-authority'),
    insecureSkipTlsVerify,
    token: text('token'),
    clientCertificate: text('client-certificate'),
    clientKey: text('client-key'),
    as: text('as'),
    asUid: text('as-uid'),
    asGroups,
    requestTimeoutSeconds: seconds('--request-timeout', text('request-timeout') ?? '0s') || undefined,
  };
}

function parse(args: readonly string[]): {
  readonly values: Readonly<Record<string, unknown>>;
  readonly positionals: readonly string[];
} {
  const options = Object.fromEntries(
    Object.entries(FLAGS).map(([name, { type, short, multiple }]) => [
      name,
      { type, ...(short === undefined ? {} : { short }), ...(multiple ? { multiple } : {}) },
    ]),
  );
  const end = args.indexOf('--');
  const plain = args.flatMap((arg, index) => (end >= 0 && index > end ? arg : plainFlag(arg)));
  try {
    return parseArgs({ args: plain, options, allowPositionals: true });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const flag = /'(-[^'\s]+)/.exec(message)?.[1]?.replace(/=.*/, '');
    if (code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION') throw new UsageError(`unknown flag: ${flag ?? message}`);
    if (/argument missing|ambiguous/.test(message)) {
      throw new UsageError(
        `flag needs an argument: ${/--?[a-z-]+(?= <)/.exec(message)?.[0] ?? flag ?? message}`,
      );
    }
    throw new UsageError(message);
  }
}

/** kubectl's flags may be written -o=json; --flag=true and =false are how it says yes and no to a switch. */
function plainFlag(arg: string): string | readonly string[] {
  const [, dashes, name, value = ''] = /^(--?)([a-zA-Z-]+)=(.*)$/.exec(arg) ?? [];
  if (name === undefined || (dashes === '-' && name.length > 1)) return arg;
  const flag = Object.entries(FLAGS).find(([long, { short }]) => name === (dashes === '-' ? short : long));
  // As Go's strconv.ParseBool.
  if (flag?.[1].type === 'boolean' && /^(1|0|t|f|true|false)$/i.test(value))
    return /^(1|t)/i.test(value) ? `--${flag[0]}` : [];
  return dashes === '-' && flag?.[1].type === 'string' ? `--${flag[0]}=${value}` : arg;
}

function verbOf(text: string): Verb {
  const verb = VERBS.find((verb) => verb === text);
  if (!verb)
    throw new UsageError(`unknown command "${text}" for "kubectl wavry"; it has ${VERBS.join(', ')}`);
  return verb;
}

function oneOf<Value extends string>(
  flag: string,
  text: string | undefined,
  values: readonly Value[],
): Value | undefined {
  if (text === undefined) return undefined;
  const value = values.find((value) => value === text);
  if (!value) throw new UsageError(`${flag}: "${text}" is none of ${values.join(', ')}`);
  return value;
}

function seconds(flag: string, text: string): number {
  try {
    return durationSeconds(/^\d+$/.test(text) ? `${text}s` : text);
  } catch (error) {
    throw new UsageError(`${flag}: ${(error as Error).message}`);
  }
}
