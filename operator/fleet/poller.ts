import type { Poll } from '../plan/world.ts';
import { failedPoll, readHealthAnswer } from './health-answer.ts';
import type { HealthTransport, PollTarget } from './transport.ts';

export interface PollerOptions {
  readonly transport: HealthTransport;
  /** The relays there are now; asked at every round. */
  readonly targets: () => readonly PollTarget[];
  readonly wallMs: () => number;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Questions under way at once. */
  readonly concurrency: number;
  /** Told when anything of a poll but its time changed. */
  readonly onChange: (target: PollTarget) => void;
}

/** Asks every relay for its health again and again, and keeps what each said last, with its age. */
export class Poller {
  readonly #options: PollerOptions;
  readonly #polls = new Map<string, Poll>();
  readonly #stop = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> = Promise.resolve();

  constructor(options: PollerOptions) {
    this.#options = options;
  }

  get polls(): ReadonlyMap<string, Poll> {
    return this.#polls;
  }

  start(): void {
    if (this.#timer || this.#stop.signal.aborted) return;
    const next = (): void => {
      const startedMs = performance.now();
      this.#round = this.#askAll().finally(() => {
        if (this.#stop.signal.aborted) return;
        const rest = this.#options.intervalMs - (performance.now() - startedMs);
        this.#timer = setTimeout(next, Math.max(10, rest));
      });
    };
    this.#timer = setTimeout(next, 0);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    await this.#round;
  }

  async #askAll(): Promise<void> {
    const targets = [...this.#options.targets()];
    const present = new Set(targets.map((target) => target.uid));
    for (const uid of this.#polls.keys()) if (!present.has(uid)) this.#polls.delete(uid);
    const lanes = Array.from({ length: Math.min(this.#options.concurrency, targets.length) }, async () => {
      for (let target = targets.pop(); target && !this.#stop.signal.aborted; target = targets.pop()) {
        await this.#ask(target);
      }
    });
    await Promise.all(lanes);
  }

  async #ask(target: PollTarget): Promise<void> {
    const { transport, timeoutMs, wallMs, onChange } = this.#options;
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(timeoutMs)]);
    const last = this.#polls.get(target.uid);
    let poll: Poll;
    try {
      poll = readHealthAnswer(await transport(target, signal), wallMs());
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      poll = failedPoll(last, error instanceof Error ? error.message : String(error));
    }
    this.#polls.set(target.uid, poll);
    if (!last || fingerprint(last) !== fingerprint(poll)) onChange(target);
  }
}

function fingerprint(poll: Poll): string {
  return JSON.stringify({ ...poll, answeredMs: poll.answeredMs === 0, error: poll.error !== undefined });
}
