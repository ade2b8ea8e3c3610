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
  /** Questions under way at once to relays that answered last time. */
  readonly concurrency: number;
  /** Told when what a relay is has changed; how many sessions it holds changes all the time. */
  readonly onChange: (target: PollTarget) => void;
}

/** Lanes for relays that don't answer: each question may take the whole time-out, and none of the others waits for it. */
const LANES_FOR_SILENT = 16;

/** Asks every relay for its health again and again, and keeps what each said last, with its age. */
export class Poller {
  readonly #options: PollerOptions;
  readonly #polls = new Map<string, Poll>();
  readonly #stop = new AbortController();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #rounds = new Set<Promise<void>>();
  #started = false;

  constructor(options: PollerOptions) {
    this.#options = options;
  }

  /** By the UID of the pod. */
  get polls(): ReadonlyMap<string, Poll> {
    return this.#polls;
  }

  start(): void {
    if (this.#started || this.#stop.signal.aborted) return;
    this.#started = true;
    this.#turn((target) => this.#answers(target), this.#options.concurrency);
    this.#turn((target) => !this.#answers(target), LANES_FOR_SILENT);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    for (const timer of this.#timers) clearTimeout(timer);
    await Promise.all(this.#rounds);
  }

  #answers(target: PollTarget): boolean {
    return this.#polls.get(target.uid)?.error === undefined && this.#polls.has(target.uid);
  }

  /** Rounds of one group of relays, an interval from start to start, or one after the other when they take longer. */
  #turn(belongs: (target: PollTarget) => boolean, lanes: number): void {
    const next = (): void => {
      const startedMs = performance.now();
      const round = this.#askAll(belongs, lanes).finally(() => {
        this.#rounds.delete(round);
        if (this.#stop.signal.aborted) return;
        this.#after(Math.max(10, this.#options.intervalMs - (performance.now() - startedMs)), next);
      });
      this.#rounds.add(round);
    };
    this.#after(0, next);
  }

  #after(ms: number, run: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      run();
    }, ms);
    this.#timers.add(timer);
  }

  async #askAll(belongs: (target: PollTarget) => boolean, most: number): Promise<void> {
    const all = this.#options.targets();
    const present = new Set(all.map((target) => target.uid));
    for (const uid of this.#polls.keys()) if (!present.has(uid)) this.#polls.delete(uid);
    const targets = all.filter(belongs);
    const lanes = Array.from({ length: Math.min(most, targets.length) }, async () => {
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
  const { answeredMs, error, totalSessions: _total, activeSessions: _active, ...rest } = poll;
  return JSON.stringify({ ...rest, answered: answeredMs > 0, failing: error !== undefined });
}
