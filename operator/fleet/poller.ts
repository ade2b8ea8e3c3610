import type { Poll } from '../plan/world.ts';
import { withSample } from '../plan/counter-rate.ts';
import { readRefusals } from './counters-answer.ts';
import { failedPoll, readHealthAnswer, withSessionsBefore } from './health-answer.ts';
import type { PollTarget, RelayTransport } from './transport.ts';

export interface PollerOptions {
  readonly transport: RelayTransport;
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

/** Counters are asked for at every fifth question, or they would double the cost of all; see RATE_WINDOW_MS. */
const COUNTERS_EVERY = 5;

/** Asks every relay for its health again and again, and keeps what each said last, with its age. */
export class Poller {
  readonly #options: PollerOptions;
  readonly #polls = new Map<string, Poll>();
  readonly #stop = new AbortController();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #rounds = new Set<Promise<void>>();
  /** How often each relay was asked, by the UID of its pod. */
  readonly #asked = new Map<string, number>();
  #started = false;
  #complete = false;

  constructor(options: PollerOptions) {
    this.#options = options;
  }

  /** By the UID of the pod. */
  get polls(): ReadonlyMap<string, Poll> {
    return this.#polls;
  }

  /** True once every relay that there was at the start has been asked. */
  get complete(): boolean {
    return this.#complete;
  }

  /** To be called when `targets` knows every relay that there is. */
  start(): void {
    if (this.#started || this.#stop.signal.aborted) return;
    this.#started = true;
    this.#turn((target) => this.#answers(target), this.#options.concurrency);
    this.#turn(
      (target) => !this.#answers(target),
      LANES_FOR_SILENT,
      () => {
        // Nobody has answered before the first round, so it asks everybody.
        this.#complete = true;
      },
    );
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
  #turn(belongs: (target: PollTarget) => boolean, lanes: number, whenDone?: () => void): void {
    const next = (): void => {
      const startedMs = performance.now();
      const round = this.#askAll(belongs, lanes).finally(() => {
        this.#rounds.delete(round);
        if (this.#stop.signal.aborted) return;
        whenDone?.();
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
    for (const uid of this.#asked.keys()) if (!present.has(uid)) this.#asked.delete(uid);
    const targets = all.filter(belongs);
    const lanes = Array.from({ length: Math.min(most, targets.length) }, async () => {
      for (let target = targets.pop(); target && !this.#stop.signal.aborted; target = targets.pop()) {
        await this.#ask(target);
      }
    });
    await Promise.all(lanes);
  }

  async #ask(target: PollTarget): Promise<void> {
    const { transport, timeoutMs, wallMs } = this.#options;
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(timeoutMs)]);
    const last = this.#polls.get(target.uid);
    try {
      const text = await transport(target, 'health', signal);
      const poll = readHealthAnswer(text, target.uid, wallMs(), last?.refusals);
      this.#take(target, withSessionsBefore(poll, last));
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      this.#take(target, failedPoll(last, error instanceof Error ? error.message : String(error)));
      return;
    }
    await this.#askForCounters(target, signal);
  }

  #take(target: PollTarget, poll: Poll): void {
    const last = this.#polls.get(target.uid);
    this.#polls.set(target.uid, poll);
    if (!last || fingerprint(last) !== fingerprint(poll)) this.#options.onChange(target);
  }

  /** When it is time for them. A relay that keeps its counters to itself is healthy all the same. */
  async #askForCounters(target: PollTarget, signal: AbortSignal): Promise<void> {
    const asked = (this.#asked.get(target.uid) ?? -1) + 1;
    this.#asked.set(target.uid, asked);
    const samples = this.#polls.get(target.uid)?.refusals ?? [];
    // A rate needs two samples: the second follows the first at once.
    if (asked % COUNTERS_EVERY !== 0 && samples.length !== 1) return;
    try {
      const value = readRefusals(await this.#options.transport(target, 'metrics', signal));
      const poll = this.#polls.get(target.uid);
      if (!poll) return;
      const refusals = withSample(samples, { atMs: this.#options.wallMs(), value });
      this.#polls.set(target.uid, { ...poll, refusals });
    } catch {
      // The samples grow old, and the rate unknown.
    }
  }
}

function fingerprint(poll: Poll): string {
  const {
    answeredMs,
    error,
    totalSessions: _total,
    activeSessions: _active,
    maxSessions: _most,
    refusals: _refusals,
    ...rest
  } = poll;
  return JSON.stringify({ ...rest, answered: answeredMs > 0, failing: error !== undefined });
}
