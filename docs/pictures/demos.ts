import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';

import { terminalPicture } from './terminal-svg.ts';
import { lastFrame, writtenToTerminal } from './terminal.ts';

/** Pictures of the live views, as they are after some seconds of real traffic. */
const VIEWS = [
  {
    name: 'npm-start',
    title: 'npm start',
    command: 'node local/demo/main.ts --seconds 30',
    size: { columns: 124, rows: 42 },
  },
  {
    name: 'demo-relay',
    title: 'npm run demo:relay',
    command: 'node local/demo/relay-demo.ts --seconds 30',
    size: { columns: 84, rows: 32 },
  },
] as const;

process.chdir(join(import.meta.dirname, '../..'));
for (const { name, title, command, size } of VIEWS) {
  const text = lastFrame(
    await writtenToTerminal(command.replace('node', `'${process.execPath}'`), size, process.env),
  );
  writeFileSync(join(import.meta.dirname, `${name}.svg`), terminalPicture(title, text));
  console.log(text);
}
