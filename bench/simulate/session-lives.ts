import type { Books } from './books.ts';
import type { Cluster, Deletion } from './cluster.ts';
import type { Random } from './random.ts';
import type { Link, RelayProcess } from './relay-process.ts';
import type { Traffic } from './traffic.ts';
import type { VirtualClock } from './virtual-clock.ts';

export interface SessionLivesOptions {
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly cluster: Cluster;
  readonly link: Link;
  readonly traffic: Traffic;
  readonly books: Books;
  readonly startMs: number;
  readonly drainTimeoutMs: number;
}

/** From Master's answer to the first LEASE_PRESENT at the relay. */
const PRESENT_MS = [100, 400] as const;
/** A refused client asks Master again; one that gets no relay waits. So often, then its user gives up. */
const RETRY_MS = [1000, 3000] as const;
const MOST_TRIES = 20;

/** People who ask Master for a relay, play, and leave; what is cut asks again for the rest of its time. */
export class SessionLives {
  readonly #options: SessionLivesOptions;
  /** Until when each session wants to go on, and which relay holds it. */
  readonly #endMs: Float64Array;
  readonly #holder: (RelayProcess | undefined)[];
  #next = 0;

  constructor(options: SessionLivesOptions) {
    this.#options = options;
    const { arrivalMs, lengthMs } = options.traffic;
    this.#endMs = new Float64Array(arrivalMs.length);
    for (let session = 0; session < arrivalMs.length; session += 1) {
      this.#endMs[session] = options.startMs + arrivalMs[session]! + lengthMs[session]!;
    }
    this.#holder = Array.from({ length: arrivalMs.length });
  }

  /** Sessions that are under way get their relays, evenly; then arrivals come. */
  begin(): void {
    const { clock, cluster, traffic, books } = this.#options;
    const relays = [...cluster.pods.values()].flatMap(({ process }) =>
      process?.registered ? [process] : [],
    );
    if (relays.length === 0) throw new Error('the fleet did not come up before the run began');
    while (this.#next < traffic.arrivalMs.length && traffic.arrivalMs[this.#next]! <= 0) {
      const session = this.#next;
      const relay = relays[session % relays.length]!;
      relay.sessions.add(session);
      this.#holder[session] = relay;
      clock.at(this.#endMs[session]!, () => this.#end(session));
      this.#next += 1;
    }
    books.underWay = this.#next;
    this.#awaitNext();
  }

  /** A relay ended with these sessions on it. */
  cut(sessions: ReadonlySet<number>, because: 'node loss' | Deletion): void {
    const { clock, books } = this.#options;
    for (const session of sessions) {
      this.#holder[session] = undefined;
      books.cut(because === 'node loss' ? because : this.#judge(because), clock.nowMs);
      this.#ask(session, 1);
    }
  }

  #judge({ drainingSinceMs }: Deletion): 'timeout' | 'lost' {
    const { clock, drainTimeoutMs } = this.#options;
    const waitedMs = drainingSinceMs === undefined ? 0 : clock.nowMs - drainingSinceMs;
    return waitedMs >= drainTimeoutMs ? 'timeout' : 'lost';
  }

  #awaitNext(): void {
    const { clock, traffic, startMs } = this.#options;
    const session = this.#next;
    if (session >= traffic.arrivalMs.length) return;
    this.#next += 1;
    clock.at(startMs + traffic.arrivalMs[session]!, () => {
      this.#options.books.asked += 1;
      this.#ask(session, 1);
      this.#awaitNext();
    });
  }

  #ask(session: number, tries: number): void {
    const { clock, link, random, cluster, books } = this.#options;
    if (!link.masterUp) {
      books.masterAway(session);
      this.#again(session, tries, false);
      return;
    }
    const id = link.master.choose(clock.nowMs);
    if (id === undefined) {
      books.refused(session, clock.nowMs);
      this.#again(session, tries, true);
      return;
    }
    const issuedMs = clock.nowMs;
    clock.after(random.between(...PRESENT_MS), () => {
      const relay = cluster.pods.get(id)?.process;
      if (relay?.admit(session, issuedMs, clock.nowMs)) {
        this.#holder[session] = relay;
        clock.at(this.#endMs[session]!, () => this.#end(session));
      } else {
        books.refused(session, clock.nowMs);
        this.#again(session, tries, true);
      }
    });
  }

  /** While Master is away nobody's patience is counted: what becomes of its clients isn't the fleet's doing. */
  #again(session: number, tries: number, counts: boolean): void {
    const { clock, random, books } = this.#options;
    if (clock.nowMs >= this.#endMs[session]!) return;
    if (counts && tries >= MOST_TRIES) {
      books.gaveUp += 1;
      return;
    }
    clock.after(random.between(...RETRY_MS), () => this.#ask(session, counts ? tries + 1 : tries));
  }

  #end(session: number): void {
    this.#holder[session]?.sessions.delete(session);
    this.#holder[session] = undefined;
  }
}
