import type { Clock } from './clock.ts';
import type { ControlLog } from './control-log.ts';
import { backOffMs } from './back-off.ts';

export interface StunWatchOptions {
  /** `host:port`, as configured. */
  readonly server: string;
  /** The server's numeric `ip:port`; asked before every question, as the name may move. */
  readonly resolve: (server: string) => Promise<string>;
  /** Asks from the data socket; rejects after the time given. */
  readonly ask: (server: string, timeoutMs: number) => Promise<string>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: ControlLog;
  readonly onChange: () => void;
}

export const STUN_INTERVAL_MS = 30_000;
const STUN_TIMEOUT_MS = 3000;
/** A changed answer is asked for again so soon, as it only counts when it comes twice. */
const CONFIRM_MS = 5000;
const BACK_OFF = { firstMs: 1000, maxMs: STUN_INTERVAL_MS };

/**
 * The address that others see the data socket at (design-relay 5). The first answer counts at once; a different one
 * only when the next is equal to it, as answers can be late or from a NAT that is just switching over.
 */
export class StunWatch {
  readonly #options: StunWatchOptions;
  #mapped: string | undefined;
  #candidate: string | undefined;
  #failures = 0;
  #stopped = false;
  #cancel: (() => void) | undefined;
  #asking: Promise<void> = Promise.resolve();

  constructor(options: StunWatchOptions) {
    this.#options = options;
  }

  get mapped(): string | undefined {
    return this.#mapped;
  }

  start(): void {
    this.#asking = this.#round();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    await this.#asking;
  }

  async #round(): Promise<void> {
    const delayMs = await this.#ask();
    if (this.#stopped) return;
    this.#cancel = this.#options.clock.after(delayMs, () => {
      this.#asking = this.#round();
    });
  }

  /** Asks once; returns when to ask again. */
  async #ask(): Promise<number> {
    const { server, resolve, ask, log, random } = this.#options;
    try {
      const answer = await ask(await resolve(server), STUN_TIMEOUT_MS);
      if (this.#failures > 0) log('info', `STUN server ${server} answers`);
      this.#failures = 0;
      return this.#take(answer);
    } catch (error) {
      this.#failures++;
      this.#candidate = undefined;
      if (this.#stopped) return 0;
      // With an address in hand an outage changes nothing, so that it is said only once.
      if (this.#mapped === undefined || this.#failures === 1) {
        log('warn', `STUN server ${server} gives no answer: ${(error as Error).message}`);
      }
      return backOffMs(this.#failures, BACK_OFF, random);
    }
  }

  #take(answer: string): number {
    if (answer === this.#mapped) {
      this.#candidate = undefined;
      return STUN_INTERVAL_MS;
    }
    if (this.#mapped !== undefined && answer !== this.#candidate) {
      this.#candidate = answer;
      return CONFIRM_MS;
    }
    const before = this.#mapped === undefined ? '' : `, no longer ${this.#mapped}`;
    this.#options.log('info', `STUN server ${this.#options.server} sees this relay at ${answer}${before}`);
    this.#mapped = answer;
    this.#candidate = undefined;
    this.#options.onChange();
    return STUN_INTERVAL_MS;
  }
}
