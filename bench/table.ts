/** What is measured, as rows of text: the same in the terminal and in bench/README.md. */
export interface Table {
  readonly title: string;
  readonly note: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** With columns lined up for a terminal. */
export function terminalTable({ title, note, head, rows }: Table): string {
  const widths = head.map((cell, column) => Math.max(cell.length, ...rows.map((row) => row[column]!.length)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd();
  const rule = widths.map((width) => '─'.repeat(width)).join('  ');
  return [title, ...(note ? [note] : []), '', line(head), rule, ...rows.map(line), ''].join('\n');
}

export function markdownTable({ title, note, head, rows }: Table): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const rule = `|${'---|'.repeat(head.length)}`;
  return [`#### ${title}`, '', ...(note ? [note, ''] : []), line(head), rule, ...rows.map(line), ''].join(
    '\n',
  );
}
