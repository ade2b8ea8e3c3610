import { stripVTControlCharacters } from 'node:util';

/** Rows under their headings, aligned as kubectl does: three spaces between columns, none at the end of a line. */
export function table(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  options: { readonly noHeaders?: boolean } = {},
): string {
  const lines = [...(options.noHeaders ? [] : [headings]), ...rows];
  const widths = headings.map((_, column) => Math.max(...lines.map((line) => width(line[column] ?? '')), 0));
  return lines
    .map((line) =>
      line
        .map(
          (cell, column) =>
            cell + ' '.repeat(widths[column]! - width(cell) + (column + 1 < line.length ? 3 : 0)),
        )
        .join('')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/** What others wrote can't move the cursor, colour the screen, turn the line round or forge a further one. */
export function harmless(text: string): string {
  return stripVTControlCharacters(text).replace(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]+/gu, ' ');
}

function width(cell: string): number {
  return stripVTControlCharacters(cell).length;
}
