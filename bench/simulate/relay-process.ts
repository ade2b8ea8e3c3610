import { backOffMs } from '../../relay/control/back-off.ts';
import { DRAIN_GRACE_MS } from '../../relay/control/drain.ts';
import type { SimMaster } from './master.ts';
import type { Random } from './random.ts';

/** Master may be away. */
export interface Link {
  readonly master: SimMaster;
  masterUp: boolean;
}

export interface RelayOptions {
  readonly id: string;
  readonly maxSessions: number;
  readonly shedThresholdPct: number;
  readonly random: Random;
  readonly link: Link;
}

const HEARTBEAT_MS = 5000;
const BACK_OFF = { firstMs: 1000, maxMs: 60_000 };
/** Leases that Master gave out so long after a drain began are still honoured within the grace (design-relay 6). */
const ISSUED_SLACK_MS = 5000;

/** A relay's process, as far as admission, drain and Master go (design-relay 5 and 6). */
export class RelayProcess {
  readonly id: string;
  readonly maxSessions: number;
  readonly sessions: Set<number> = new Set();
  endpoint: string | undefined;
  registered = false;
  everRegistered = false;
  /** New sessions refused since it started: full, or over the shed threshold. */
  shed = 0;
  readonly #shedFrom: number;
  readonly #random: Random;
  readonly #link: Link;
  #drainStartMs: number | undefined;
  #nextCallMs = 0;
  #failures = 0;
  #forgotten = false;

  constructor({ id, maxSessions, shedThresholdPct, random, link }: RelayOptions) {
    this.id = id;
    this.maxSessions = maxSessions;
    this.#shedFrom = (maxSessions * shedThresholdPct) / 100;
    this.#random = random;
    this.#link = link;
  }

  get draining(): boolean {
    return this.#drainStartMs !== undefined;
  }

  /** The file `draining` of its control directory. */
  wish(draining: boolean, nowMs: number): void {
    if (draining === this.draining) return;
    this.#drainStartMs = draining ? nowMs : undefined;
    this.#nextCallMs = 0;
    this.#forgotten = false;
  }

  isEmpty(nowMs: number): boolean {
    if (this.#drainStartMs === undefined || this.sessions.size > 0) return false;
    return !this.everRegistered || nowMs >= this.#drainStartMs + DRAIN_GRACE_MS;
  }

  state(nowMs: number): 'starting' | 'serving' | 'draining' | 'drained' {
    if (this.draining) return this.isEmpty(nowMs) ? 'drained' : 'draining';
    return this.registered ? 'serving' : 'starting';
  }

  /** A lease is presented that Master gave out at `issuedMs`. */
  admit(session: number, issuedMs: number, nowMs: number): boolean {
    if (this.#drainStartMs !== undefined) {
      const honoured =
        nowMs < this.#drainStartMs + DRAIN_GRACE_MS && issuedMs <= this.#drainStartMs + ISSUED_SLACK_MS;
      if (!honoured) return false;
    }
    if (this.sessions.size >= this.#shedFrom) {
      this.shed += 1;
      return false;
    }
    this.sessions.add(session);
    return true;
  }

  /** Called every second: registration and heartbeats when they are due. */
  tick(nowMs: number): void {
    if (this.endpoint === undefined || nowMs < this.#nextCallMs) return;
    if (this.registered) this.#heartbeat(nowMs);
    else if (!this.draining) this.#register(this.endpoint, nowMs);
  }

  #register(endpoint: string, nowMs: number): void {
    const { master, masterUp } = this.#link;
    if (masterUp && master.register(this.id, endpoint, this.maxSessions, nowMs)) {
      this.registered = true;
      this.everRegistered = true;
      this.#failures = 0;
      this.#nextCallMs = nowMs;
    } else {
      this.#failures += 1;
      this.#nextCallMs = nowMs + backOffMs(this.#failures, BACK_OFF, () => this.#random.next());
    }
  }

  #heartbeat(nowMs: number): void {
    this.#nextCallMs = nowMs + HEARTBEAT_MS * (1 + this.#random.next() / 10);
    if (!this.#link.masterUp || this.#forgotten) return;
    const loadPct = this.draining ? 100 : (100 * this.sessions.size) / this.maxSessions;
    if (this.#link.master.heartbeat(this.id, loadPct, nowMs)) return;
    if (this.draining) this.#forgotten = true;
    else {
      this.registered = false;
      this.#nextCallMs = nowMs;
    }
  }
}
