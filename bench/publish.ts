import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { BenchError } from './bench-error.ts';
import { markdownTable, type Table } from './table.ts';

const BENCH = import.meta.dirname;

/** Puts the tables of one benchmark where readers of the project find them: between its marks in bench/README.md. */
export function publishTables(
  benchmark: 'datapath' | 'operator',
  machine: readonly string[],
  tables: readonly Table[],
): void {
  const begin = `<!-- ${benchmark}: written by npm run bench -- ${benchmark} --publish -->`;
  const end = `<!-- ${benchmark}: end -->`;
  const readme = join(BENCH, 'README.md');
  const [before, rest] = readFileSync(readme, 'utf8').split(begin);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined) {
    throw new BenchError(`bench: ${readme} has lost its marks '${begin}' and '${end}': put them back`);
  }
  const lines = machine.map((line) => `- ${line}`).join('\n');
  const text = tables.map(markdownTable).join('\n');
  replaceFile(readme, `${before}${begin}\n\nMeasured on:\n\n${lines}\n\n${text}\n${end}${after}`);
}

/** Writes a file so that whoever reads it sees the old content or the new one. */
export function replaceFile(path: string, content: string): void {
  writeFileSync(`${path}.new`, content);
  renameSync(`${path}.new`, path);
}
