import type { WriteStream } from 'node:tty';

import type { Size } from './screen.ts';
import { Screen } from './screen.ts';
import type { Paint } from './view.ts';

/** What there is to see at a moment: as a picture for a terminal, and as a line for a log. */
export interface Frame {
  draw(paint: Paint, size: Size): readonly string[];
  line(): string;
}

/** Where a demo is shown: frames drawn over one another on a terminal, a line each anywhere else. */
export class Stage {
  readonly #out: WriteStream;
  #screen: Screen | undefined;

  constructor(out: WriteStream) {
    this.#out = out;
  }

  get isTerminal(): boolean {
    return this.#out.isTTY;
  }

  /** A line that stays. */
  say(line: string): void {
    if (this.#screen) this.#screen.above(line);
    else this.#out.write(`${line}\n`);
  }

  show(frame: Frame): void {
    if (!this.isTerminal) {
      this.say(frame.line());
      return;
    }
    this.#screen ??= new Screen(this.#out);
    this.#screen.draw(frame.draw(this.#screen.paint, this.#screen.size));
  }

  /** Takes the picture away: another one follows. */
  clear(): void {
    this.#screen?.draw([]);
  }

  /** Gives the terminal back; the picture stays, and what is said from now on stands below it. */
  close(): void {
    if (!this.#screen) return;
    this.#screen.close();
    this.#screen = undefined;
    // The terminal has just shown ^C.
    this.#out.write('\n');
  }
}
