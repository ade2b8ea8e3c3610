import type { Option } from './options.ts';
import { OPTION_ROWS } from './options.ts';

const FLAG_COLUMN = 2;
const TEXT_COLUMN = 34;
const WIDTH = 100;

/** The text of `--help`: every flag with its unit, default and variable. */
export function helpText(): string {
  const groups = Map.groupBy(
    OPTION_ROWS.map(([, option]) => option),
    (option) => option.group,
  );
  const sections = [...groups].map(
    ([group, options]) =>
      `${group}:\n${options.map((option) => entry(usage(option), option.help, `[${notes(option)}]`)).join('')}`,
  );
  return [
    'Usage: wavry-relay [--flag value | --flag=value]…\n\nForwards the UDP packets of two peers that cannot reach each other.\n',
    ...sections,
    `Help:\n${entry('-h, --help', 'this text')}${entry('-V, --version', 'the version')}`,
    `Flags beat variables; an empty variable is as good as none. Lists in variables take commas.
Exit codes: 0 drained or ended by a second signal, 1 failed, 64 wrong flags or variables.
`,
  ].join('\n');
}

function usage({ flag, kind }: Option): string {
  if (kind.type === 'boolean') return `--${flag}[=BOOL]`;
  if (kind.type === 'choice') return `--${flag} ${kind.choices.join('|')}`;
  return `--${flag} ${kind.type === 'integer' ? 'N' : kind.placeholder}`;
}

function notes({ kind, variable, otherFlags, otherVariables, ...option }: Option): string {
  return [
    `default ${option.default ?? option.unset ?? 'none'}`,
    ...(kind.type === 'integer' && kind.unit !== '' ? [`unit ${kind.unit}`] : []),
    ...(otherFlags ?? []).map((flag) => `also --${flag}`),
    [variable, ...(otherVariables ?? [])].join(' or '),
  ].join('; ');
}

function entry(left: string, ...paragraphs: readonly string[]): string {
  const lines = paragraphs.flatMap((text) => wrap(text, WIDTH - TEXT_COLUMN));
  const start = ' '.repeat(FLAG_COLUMN) + left;
  const indent = ' '.repeat(TEXT_COLUMN);
  if (start.length < TEXT_COLUMN - 1) return `${start.padEnd(TEXT_COLUMN)}${lines.join(`\n${indent}`)}\n`;
  return `${start}\n${indent}${lines.join(`\n${indent}`)}\n`;
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
