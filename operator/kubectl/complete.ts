import type { Access } from './access.ts';
import { Resources } from '../kube/resource.ts';
import { accessFlags, DRY_RUNS, FLAGS, FORMATS, takesFlag, type Verb, VERBS } from './arguments.ts';
import type { FleetObject } from './fleets.ts';
import { summaryOf } from './help.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Directives of cobra that kubectl passes to the shell (spf13/cobra, completions.go). */
const DEFAULT = ':0';
const NO_FILES = ':4';

/** A completion that waits for a cluster is worse than none. */
const PATIENCE_MS = 3000;

/**
 * What kubectl's completion asks of `kubectl_complete-wavry`: the words so far, the last one unfinished or empty; a line
 * for each choice, with what it means behind a tab, and a directive at the end
 * (https://github.com/kubernetes/kubernetes/pull/105867). Never fails: what can't be known isn't offered.
 */
export async function complete(words: readonly string[], env: Environment): Promise<string> {
  const before = words.slice(0, -1);
  const word = words.at(-1) ?? '';
  const given = readWords(before);
  const assigned = /^--([a-z-]+)=(.*)$/.exec(word);
  const awaited = assigned?.[1] ?? given.awaits;
  if (awaited !== undefined && FILES.has(awaited)) return `${DEFAULT}\n`;
  const prefix = assigned ? `--${assigned[1]}=` : '';
  const typed = assigned?.[2] ?? word;
  const choices = await choicesFor(awaited, typed, given, env).catch(() => []);
  const fitting = choices.filter(([name]) => name.startsWith(typed));
  const lines = fitting.map(([name, text]) => `${prefix}${name}${text === '' ? '' : `\t${text}`}`);
  return `${[...lines, NO_FILES].join('\n')}\n`;
}

/** Flags whose value is a file, which the shell itself completes. */
const FILES: ReadonlySet<string> = new Set([
  'kubeconfig',
  'certificate-authority',
  'client-certificate',
  'client-key',
]);

type Choice = readonly [name: string, text: string];

interface Words {
  readonly verb: Verb | undefined;
  readonly names: readonly string[];
  readonly flags: Readonly<Record<string, string>>;
  /** The flag whose value comes next. */
  readonly awaits: string | undefined;
}

async function choicesFor(
  awaited: string | undefined,
  typed: string,
  given: Words,
  env: Environment,
): Promise<readonly Choice[]> {
  const { verb } = given;
  if (awaited !== undefined) return flagValues(awaited, given, env);
  if (typed.startsWith('-')) {
    return Object.entries(FLAGS)
      .filter(([name]) => verb === undefined || takesFlag(verb, name))
      .filter(([name, flag]) => !(name in given.flags) || flag.multiple === true)
      .map(([name, flag]) => [`--${name}`, flag.text]);
  }
  if (verb === undefined) return VERBS.map((verb) => [verb, summaryOf(verb)]);
  if (verb === 'why' && given.names.length > 0) return [];
  const fleets = await fleetsOf(given, env);
  const choices: Choice[] =
    verb === 'drain' || verb === 'undrain'
      ? fleets.flatMap((fleet) => relayChoices(fleet, verb))
      : fleets.map((fleet): Choice => [fleet.metadata.name, '']);
  return choices.filter(([name]) => !given.names.includes(name));
}

/** Relays for which the verb would change something. */
function relayChoices(fleet: FleetObject, verb: 'drain' | 'undrain'): Choice[] {
  return (fleet.status?.relays ?? [])
    .filter((relay) => (relay.reason?.startsWith('DrainRequested') ?? false) === (verb === 'undrain'))
    .map((relay) => [relay.name, `${relay.state}, ${relay.sessions ?? '?'} sessions`]);
}

async function flagValues(flag: string, given: Words, env: Environment): Promise<readonly Choice[]> {
  switch (flag) {
    case 'output':
      return FORMATS.map((format): Choice => [format, '']);
    case 'dry-run':
      return DRY_RUNS.map((value): Choice => [value, '']);
    case 'namespace':
      return withClient(given, env, async ({ client }) => {
        const { listAll } = await import('./fleets.ts');
        const namespaces = await listAll(client, Resources.namespaces, undefined);
        return namespaces.map(({ metadata }): Choice => [metadata.name, '']);
      });
    case 'context':
    case 'cluster':
    case 'user': {
      const { readKubeConfig } = await import('./access.ts');
      const config = readKubeConfig(given.flags['kubeconfig'], env);
      const names = {
        context: config.getContexts(),
        cluster: config.getClusters(),
        user: config.getUsers(),
      }[flag];
      return names.map(({ name }): Choice => [name, '']);
    }
    default:
      return [];
  }
}

function fleetsOf(given: Words, env: Environment): Promise<readonly FleetObject[]> {
  return withClient(given, env, async ({ client, namespace }) => {
    const { listFleets } = await import('./fleets.ts');
    return listFleets(client, given.flags['namespace'] || namespace);
  });
}

/** The client library takes half a second to load: only where a cluster has to be asked. */
async function withClient<Result>(
  given: Words,
  env: Environment,
  ask: (access: Access) => Promise<readonly Result[]>,
): Promise<readonly Result[]> {
  const { openAccess } = await import('./access.ts');
  const { flags } = given;
  const groups = flags['as-group'] === undefined ? [] : [flags['as-group']];
  const who = accessFlags((name) => flags[name] || undefined, 'insecure-skip-tls-verify' in flags, groups);
  const access = openAccess(who, env, 'completion');
  const { promise: tooLate, resolve } = Promise.withResolvers<readonly Result[]>();
  const timer = setTimeout(() => resolve([]), PATIENCE_MS);
  try {
    return await Promise.race([ask(access), tooLate]);
  } finally {
    clearTimeout(timer);
    await access.close();
  }
}

/** Reads what stands on the line without ever objecting to it. */
function readWords(words: readonly string[]): Words {
  const flags: Record<string, string> = {};
  const names: string[] = [];
  let awaits: string | undefined;
  for (const word of words) {
    const match = /^(?:--([a-z-]+)|-([a-zA-Z]))(?:=?(.*))$/.exec(word);
    if (awaits !== undefined) {
      flags[awaits] = word;
      awaits = undefined;
    } else if (match) {
      const name = match[1] ?? Object.keys(FLAGS).find((name) => FLAGS[name]?.short === match[2]);
      if (name === undefined) continue;
      if (match[3] !== '' || FLAGS[name]?.type !== 'string') flags[name] = match[3] ?? '';
      else awaits = name;
    } else names.push(word);
  }
  const verb = VERBS.find((verb) => verb === names[0]);
  return { verb, names: names.slice(1), flags, awaits };
}
