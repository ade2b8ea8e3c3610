import { parseArgs } from 'node:util';

import { ConfigError, shown } from './config-error.ts';
import { nearest } from './nearest.ts';
import type { Option, OptionKey } from './options.ts';
import { OPTION_ROWS } from './options.ts';

export interface Arguments {
  readonly help: boolean;
  readonly version: boolean;
  /** What was written for each flag, in order. A boolean flag without a value is `true`. */
  readonly values: ReadonlyMap<OptionKey, readonly string[]>;
}

const TRUTHS = /^(?:1|0|true|false|yes|no|on|off)$/i;

const FLAGS: ReadonlyMap<string, readonly [OptionKey, Option]> = new Map(
  OPTION_ROWS.flatMap((row) =>
    [row[1].flag, ...(row[1].otherFlags ?? [])].map((flag) => [flag, row] as const),
  ),
);

/** `--flag value`, `--flag=value`, and `--flag` alone for booleans. Throws ConfigError. */
export function readArguments(argv: readonly string[]): Arguments {
  const tokens = tokenize(argv);
  const values = new Map<OptionKey, string[]>();
  const result = { help: false, version: false, values };
  for (const token of tokens) {
    if (token.kind === 'option' && (token.rawName === '-h' || token.rawName === '--help')) result.help = true;
    if (token.kind === 'option' && (token.rawName === '-V' || token.rawName === '--version'))
      result.version = true;
  }
  if (result.help || result.version) return result;

  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i]!;
    if (token.kind === 'option-terminator') continue;
    if (token.kind === 'positional') throw new ConfigError(strayArgument(argv, token.index));
    const row = token.rawName.startsWith('--') ? FLAGS.get(token.name) : undefined;
    if (!row) throw new ConfigError(unknownFlag(token.rawName));
    const [key, option] = row;
    const given = values.get(key) ?? [];
    values.set(key, given);
    if (option.kind.type === 'boolean' && token.value === undefined) {
      const next = tokens[i + 1];
      const follows = next?.kind === 'positional' && TRUTHS.test(next.value);
      given.push(follows ? next.value : 'true');
      if (follows) i++;
    } else {
      given.push(flagValue(option, token.rawName, token.value, token.inlineValue === true));
    }
  }
  return result;
}

function tokenize(argv: readonly string[]) {
  const options = Object.fromEntries(
    [...FLAGS].map(([flag, [, { kind }]]) => [
      flag,
      { type: kind.type === 'boolean' ? ('boolean' as const) : ('string' as const) },
    ]),
  );
  return parseArgs({
    args: [...argv],
    options: {
      ...options,
      help: { type: 'boolean', short: 'h' },
      version: { type: 'boolean', short: 'V' },
    },
    strict: false,
    allowPositionals: true,
    tokens: true,
  }).tokens;
}

function flagValue(option: Option, rawName: string, value: string | undefined, inline: boolean): string {
  const swallowed = value !== undefined && !inline && /^-(?!\d)/.test(value);
  if (value === undefined || swallowed) {
    throw new ConfigError(
      `${rawName} needs a value: ${rawName}=${placeholder(option)}${swallowed ? ' (after an = it may begin with -)' : ''}`,
    );
  }
  if (value.trim() === '' && !mayBeEmpty(option)) {
    throw new ConfigError(
      `${rawName} has an empty value: write ${rawName}=${placeholder(option)}, or leave it out`,
    );
  }
  return value;
}

/** Today's relay takes an empty region and means none. */
function mayBeEmpty({ kind }: Option): boolean {
  return kind.type === 'text' && kind.format === 'label';
}

function placeholder({ kind }: Option): string {
  if (kind.type === 'text') return kind.placeholder;
  return kind.type === 'choice' ? kind.choices.join('|') : 'NUMBER';
}

function unknownFlag(rawName: string): string {
  const name = /^-{1,2}[A-Za-z0-9_-]{0,60}/.exec(rawName)![0];
  const word = name.replace(/^-+(?:no-)?/, '').replaceAll('_', '-');
  const near = nearest(word, [...FLAGS.keys(), 'help', 'version']);
  if (near === undefined) return `unknown flag ${name}: --help lists them all`;
  const negated = name.startsWith('--no-') && FLAGS.get(near)?.[1].kind.type === 'boolean';
  return `unknown flag ${name}: did you mean --${near}${negated ? '=false' : ''}?`;
}

/** Says what the argument is only where it can't be a piece of a secret. */
function strayArgument(argv: readonly string[], index: number): string {
  const secrets = argv.some((argument) => FLAGS.get(argument.replace(/^--|=.*$/gs, ''))?.[1].secret);
  // A name may be that of a secret, mistyped.
  const name = argv[index]!.replace(/=.*$/s, '=…');
  const which = secrets ? `argument ${index + 1}` : `argument ${index + 1}, ${shown(name)},`;
  return `${which} belongs to no flag: write --flag=value, in quotes if the value has spaces`;
}
