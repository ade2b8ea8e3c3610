import type { WriteStream } from 'node:tty';
import { styleText } from 'node:util';

import type { Paint } from './view.ts';

/** Draws frames over one another at the place where the first one was drawn. */
export class Screen {
  readonly #out: WriteStream;
  #lines: readonly string[] = [];

  constructor(out: WriteStream) {
    this.#out = out;
    out.write(HIDE_CURSOR);
  }

  readonly paint: Paint = (style, text) => styleText(style, text, { stream: this.#out });

  get size(): Size {
    return { columns: this.#out.columns ?? 80, rows: this.#out.rows ?? 24 };
  }

  draw(lines: readonly string[]): void {
    this.#write('', lines);
  }

  /** Writes a line that stays, above what is drawn. */
  above(line: string): void {
    this.#write(`${line}\n`, this.#lines);
  }

  /** Gives the terminal back; what was drawn last stays. */
  close(): void {
    this.#out.write(SHOW_CURSOR);
  }

  #write(text: string, lines: readonly string[]): void {
    const { columns, rows } = this.size;
    const shown = lines.slice(0, Math.max(1, rows - 1));
    const up = this.#lines.length > 0 ? `\x1b[${this.#lines.length}A` : '';
    const body = shown.map((line) => `${cut(line, columns - 1)}${ERASE_TO_END}\n`).join('');
    const erase = text === '' ? '' : ERASE_BELOW;
    this.#out.write(`${BEGIN_FRAME}\r${up}${erase}${text}${body}${ERASE_BELOW}${END_FRAME}`);
    this.#lines = shown;
  }
}

/** Characters and lines of the terminal. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** The first `width` characters, colour codes not counted. */
export function cut(line: string, width: number): string {
  let shown = 0;
  let out = '';
  for (const [part] of line.matchAll(COLOUR_OR_CHARACTER)) {
    if (part.length > 2) out += part;
    else if (shown++ < width) out += part;
  }
  return out;
}

/** SGR sequences only: the view uses no others. */
const COLOUR_OR_CHARACTER = new RegExp(String.raw`\u001b\[[0-9;]*m|.`, 'gsu');
const HIDE_CURSOR = '\x1b[?25l';
const SHOW_CURSOR = '\x1b[?25h';
const ERASE_TO_END = '\x1b[K';
const ERASE_BELOW = '\x1b[J';
// Synchronized output: terminals that know it show a frame as a whole, others ignore it.
const BEGIN_FRAME = '\x1b[?2026h';
const END_FRAME = '\x1b[?2026l';
