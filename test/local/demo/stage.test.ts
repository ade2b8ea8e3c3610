import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WriteStream } from 'node:tty';

import { Stage } from '../../../local/demo/stage.ts';

/** As much of a terminal as the screen uses. */
class Terminal {
  readonly isTTY: boolean;
  readonly columns = 40;
  readonly rows = 10;
  readonly #lines: string[] = [''];
  #row = 0;
  #column = 0;

  constructor(isTTY: boolean) {
    this.isTTY = isTTY;
  }

  write(text: string): boolean {
    const parts = new RegExp(String.raw`\u001b\[\??(\d*)([a-zA-Z])|[\n\r]|[^\u001b\n\r]+`, 'gu');
    for (const [part, count, letter] of text.matchAll(parts)) {
      const line = this.#lines[this.#row]!;
      if (part === '\r') this.#column = 0;
      else if (part === '\n') {
        this.#lines[++this.#row] ??= '';
        this.#column = 0;
      } else if (letter === undefined) {
        const after = this.#column + part.length;
        this.#lines[this.#row] = line.slice(0, this.#column) + part + line.slice(after);
        this.#column = after;
      } else if (letter === 'A') this.#row -= Number(count);
      else if (letter === 'K' || letter === 'J') {
        this.#lines[this.#row] = line.slice(0, this.#column);
        if (letter === 'J') this.#lines.length = this.#row + 1;
      }
    }
    return true;
  }

  get text(): string {
    return this.#lines.join('\n').trimEnd();
  }
}

const frame = (...lines: string[]) => ({ draw: () => lines, line: () => lines.join(' ') });

test('frames are drawn over one another, and what is said stays above them', () => {
  const terminal = new Terminal(true);
  const stage = new Stage(terminal as unknown as WriteStream);
  stage.say('first');
  stage.show(frame('one', 'two', 'three'));
  stage.show(frame('ONE', 'TWO'));
  assert.equal(terminal.text, 'first\nONE\nTWO');
  stage.say('second');
  assert.equal(terminal.text, 'first\nsecond\nONE\nTWO');
  stage.show(frame('1', '2', '3'));
  assert.equal(terminal.text, 'first\nsecond\n1\n2\n3');
  stage.clear();
  stage.say('third');
  assert.equal(terminal.text, 'first\nsecond\nthird');
  stage.show(frame('end'));
  stage.close();
  stage.say('after');
  assert.equal(terminal.text, 'first\nsecond\nthird\nend\n\nafter');
});

test('anywhere else each frame is a line', () => {
  const terminal = new Terminal(false);
  const stage = new Stage(terminal as unknown as WriteStream);
  stage.say('first');
  stage.show(frame('one', 'two'));
  stage.clear();
  stage.close();
  stage.say('last');
  assert.equal(terminal.text, 'first\none two\nlast');
});
