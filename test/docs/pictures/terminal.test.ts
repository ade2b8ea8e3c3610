import assert from 'node:assert/strict';
import process from 'node:process';
import { test } from 'node:test';

import { lastFrame, writtenToTerminal } from '../../../docs/pictures/terminal.ts';

test('of what a screen drew its last frame counts, without what moves the cursor', async () => {
  const program = `
    const frame = (text) => process.stdout.write('\\x1b[?2026h\\r\\x1b[2A' + text + '\\x1b[K\\n\\x1b[J\\x1b[?2026l');
    frame('first'); frame('\\x1b[1m' + process.stdout.columns + 'x' + process.stdout.rows + '\\x1b[22m');
    process.stdout.write('what comes after');
  `;
  const written = await writtenToTerminal(
    `'${process.execPath}' -e '${program.replaceAll("'", `'\\''`)}'`,
    { columns: 70, rows: 20 },
    process.env,
  );
  assert.equal(lastFrame(written), '\u001b[1m70x20\u001b[22m\n');
});

test('a program that draws nothing is no picture', () => {
  assert.throws(() => lastFrame('an error'), /no frame was drawn: an error/);
});
