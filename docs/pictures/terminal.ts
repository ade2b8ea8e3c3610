import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import type { Size } from '../../local/demo/screen.ts';

/**
 * What a command writes to a terminal: script(1) gives it one. The event loop goes on meanwhile, as what the command
 * asks may be behind it.
 */
export async function writtenToTerminal(
  command: string,
  { columns, rows }: Size,
  env: NodeJS.ProcessEnv,
): Promise<string> {
  const { stdout } = await promisify(execFile)(
    'script',
    ['--quiet', '--return', '--command', `stty cols ${columns} rows ${rows}; ${command}`, '/dev/null'],
    { env: { ...env, TERM: 'xterm-256color' }, maxBuffer: 2 ** 26 },
  );
  return stdout;
}

/** The last of the frames that a `Screen` drew, without what moves the cursor. */
export function lastFrame(written: string): string {
  const frame = FRAME.exec(written.slice(written.lastIndexOf(BEGIN_FRAME)))?.[1];
  if (frame === undefined) throw new Error(`no frame was drawn: ${written.slice(-500)}`);
  return frame.replaceAll(CURSOR, '').replaceAll('\r', '');
}

// As local/demo/screen.ts writes them.
const BEGIN_FRAME = '\u001b[?2026h';
const FRAME = new RegExp(String.raw`^\u001b\[\?2026h(.*?)\u001b\[\?2026l`, 's');
const CURSOR = new RegExp(String.raw`\u001b\[\d*[AKJ]`, 'g');
