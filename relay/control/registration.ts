import { backOffMs } from './back-off.ts';
import type { Clock } from './clock.ts';
import type { ControlLog } from './control-log.ts';
import type { RegisterAnswer } from './master-answers.ts';
import type { Master, RegisterCall } from './master-client.ts';
import { MasterError } from './master-client.ts';

export interface RegistrationOptions {
  readonly master: Master;
  readonly clock: Clock;
  /** 0 to 1, as Math.random. */
  readonly random: () => number;
  readonly log: ControlLog;
  readonly relay: Omit<RegisterCall, 'endpoints'>;
  /** What to register now; empty while no endpoint is known. */
  readonly endpoints: () => readonly string[];
  /** Active sessions over maximum, 0 to 100. */
  readonly loadPct: () => number;
  readonly draining: () => boolean;
  /** Master's key of a registration; throws, with what is wrong, for one that no lease can be signed with. */
  readonly learnKey: (answer: RegisterAnswer) => void;
  /** Whether leases can be verified without a key from Master. */
  readonly hasKey: () => boolean;
}

const BACK_OFF = { firstMs: 1000, maxMs: 60_000 };
/** Until a registration says otherwise; what Master asks for today (wire reference 4). */
const DEFAULT_HEARTBEAT_MS = 5000;
/** How often an outage that goes on is mentioned. */
const REMIND_MS = 60_000;

/**
 * Keeps the relay registered at Master (wire reference 4, design-relay 5).
 *
 * One call at a time, for ever: registers until Master takes it, then sends heartbeats; registers again when Master has
 * forgotten the relay (404) or the endpoints have changed. No failure takes a registration back but that 404.
 *
 * A draining relay never registers, as that would clear Master's Draining mark and bring new sessions: it only sends
 * heartbeats with load 100, until Master has forgotten it.
 */
export class Registration {
  readonly #options: RegistrationOptions;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #wakeUp: (() => void) | undefined;
  #call: AbortController | undefined;

  #registeredEndpoints: readonly string[] | undefined;
  #everKnown = false;
  #registeredOnce = false;
  #forgotten = false;
  #wasDraining = false;
  #refusedEndpoints = '';
  #intervalMs = DEFAULT_HEARTBEAT_MS;
  #registerAtMs = 0;
  #heartbeatAtMs = 0;
  /** Registrations tried since Master last took a heartbeat. */
  #attempts = 0;
  #outage: { sinceMs: number; remindedMs: number; message: string } | undefined;
  #registrations = 0;
  #failures = 0;

  constructor(options: RegistrationOptions) {
    this.#options = options;
  }

  /** Master has taken a registration and not forgotten it since. */
  get registered(): boolean {
    return this.#registeredEndpoints !== undefined;
  }

  /** Master has known this relay at some time in this process's life, so sessions may have been handed out. */
  get everRegistered(): boolean {
    return this.#everKnown;
  }

  /** Master has taken a registration of this process, whatever became of it. */
  get registeredOnce(): boolean {
    return this.#registeredOnce;
  }

  /** As Master has them. */
  get registeredEndpoints(): readonly string[] | undefined {
    return this.#registeredEndpoints;
  }

  /** Why there is no registration, for `/ready`. */
  get problem(): string | undefined {
    return this.#outage?.message;
  }

  /** For how long Master has taken none of its calls; 0 while it takes them. */
  get outageMs(): number {
    return this.#outage ? this.#options.clock.nowMs() - this.#outage.sinceMs : 0;
  }

  get registrationsTotal(): number {
    return this.#registrations;
  }

  get failuresTotal(): number {
    return this.#failures;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** The endpoints or the wish to drain may have changed. A drain's first heartbeat waits for no other call. */
  wake(): void {
    const draining = this.#options.draining();
    if (draining !== this.#wasDraining) {
      this.#wasDraining = draining;
      this.#heartbeatAtMs = 0;
      this.#registerAtMs = 0;
      this.#forgotten = false;
      this.#call?.abort();
    }
    const endpoints = this.#options.endpoints().join(' ');
    if (endpoints !== this.#refusedEndpoints) this.#registerAtMs = 0;
    this.#wakeUp?.();
  }

  /** Ends the loop and the call in flight. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#call?.abort();
    this.#wakeUp?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const nowMs = this.#options.clock.nowMs();
      const next = this.#next();
      if (next === undefined) await this.#sleep(undefined);
      else if (next.atMs > nowMs) await this.#sleep(next.atMs - nowMs);
      else if (next.call === 'register') await this.#register();
      else await this.#heartbeat();
    }
  }

  /** What has to be done next; undefined: nothing until somebody wakes the loop. */
  #next(): { call: 'register' | 'heartbeat'; atMs: number } | undefined {
    if (this.#options.draining()) {
      return this.#forgotten ? undefined : { call: 'heartbeat', atMs: this.#heartbeatAtMs };
    }
    const endpoints = this.#options.endpoints();
    const registered = this.#registeredEndpoints;
    const wanted = endpoints.length > 0 && !(registered && same(endpoints, registered));
    if (wanted && (!registered || this.#registerAtMs <= this.#heartbeatAtMs)) {
      return { call: 'register', atMs: this.#registerAtMs };
    }
    return registered && { call: 'heartbeat', atMs: this.#heartbeatAtMs };
  }

  async #register(): Promise<void> {
    const { master, relay, log, clock, random, learnKey } = this.#options;
    const endpoints = [...this.#options.endpoints()];
    this.#attempts++;
    try {
      const answer = await this.#during((signal) => master.register({ ...relay, endpoints }, signal));
      this.#everKnown = true;
      learnKey(answer);
      this.#intervalMs = answer.heartbeatIntervalMs;
      this.#registrations++;
      this.#settle(endpoints);
      log(
        'info',
        `Registered with Master as ${relay.relayId} at ${endpoints.join(', ')}; a heartbeat every ${answer.heartbeatIntervalMs} ms`,
      );
    } catch (error) {
      if (error instanceof MasterError && error.mayHaveWorked) this.#everKnown = true;
      if (this.#wasCutShort(error)) return;
      if (error instanceof MasterError && error.status === 403 && (await this.#isListedAt(endpoints))) {
        this.#everKnown = true;
        this.#settle(endpoints);
        log(
          'warn',
          `Master takes no registration for the IP of ${endpoints[0]}, where it has five, but still has this relay's own from before: going on with that one`,
        );
        return;
      }
      this.#failures++;
      this.#refusedEndpoints = endpoints.join(' ');
      const delayMs = backOffMs(this.#attempts, BACK_OFF, random);
      this.#registerAtMs = clock.nowMs() + delayMs;
      const { message } = error as Error;
      this.#suffer(message);
      const what = reached(error) ? 'Failed to register with Master' : 'Failed to connect to Master';
      log('warn', `${what}: ${message}; trying again in ${(delayMs / 1000).toFixed(1)} s`);
    }
  }

  #settle(endpoints: readonly string[]): void {
    this.#registeredEndpoints = endpoints;
    this.#registeredOnce = true;
    this.#refusedEndpoints = '';
    this.#outage = undefined;
    // Master lists a new registration with load 0 until the first heartbeat.
    this.#heartbeatAtMs = 0;
  }

  /**
   * Whether Master still has the very registration that it refuses to take. A relay that restarts where five are
   * registered counts against itself, and would have to wait until Master forgets it (wire reference 4).
   */
  async #isListedAt(endpoints: readonly string[]): Promise<boolean> {
    const { master, relay, hasKey } = this.#options;
    if (this.registered || !hasKey()) return false;
    try {
      const relays = await this.#during((signal) => master.list(signal));
      const own = relays.find((listed) => listed.relayId === relay.relayId);
      return own !== undefined && same(own.endpoints, endpoints);
    } catch {
      return false;
    }
  }

  async #heartbeat(): Promise<void> {
    const { master, relay, clock, random } = this.#options;
    const draining = this.#options.draining();
    const loadPct = draining ? 100 : clampPct(this.#options.loadPct());
    this.#heartbeatAtMs = clock.nowMs() + this.#intervalMs * (1 + random() / 10);
    try {
      await this.#during((signal) => master.heartbeat(relay.relayId, loadPct, signal));
      this.#everKnown = true;
      this.#attempts = 0;
      this.#recover();
    } catch (error) {
      if (this.#wasCutShort(error)) return;
      if (error instanceof MasterError && error.status === 404) this.#forget(draining);
      else this.#missed(error as Error);
    }
  }

  #forget(draining: boolean): void {
    const { log, clock, random } = this.#options;
    this.#registeredEndpoints = undefined;
    this.#recover();
    if (draining) {
      this.#forgotten = true;
      log('info', 'Master does not know this relay, which is draining: no more heartbeats');
      return;
    }
    // At once, unless it has forgotten a relay that it took a moment ago, as two Masters behind one address would.
    this.#registerAtMs =
      this.#attempts === 0 ? 0 : clock.nowMs() + backOffMs(this.#attempts, BACK_OFF, random);
    log('warn', 'Master has forgotten this relay (404 to a heartbeat): registering again');
  }

  #missed(error: Error): void {
    const { log, clock } = this.#options;
    this.#failures++;
    const before = this.#outage;
    const outage = this.#suffer(error.message);
    const nowMs = clock.nowMs();
    if (before?.message === error.message && nowMs - outage.remindedMs < REMIND_MS) return;
    outage.remindedMs = nowMs;
    const what = reached(error) ? 'Heartbeat to Master failed' : 'Failed to connect to Master';
    const since = before ? `, for ${Math.round((nowMs - outage.sinceMs) / 1000)} s now` : '';
    log('warn', `${what}${since}: ${error.message}; sessions go on`);
  }

  #suffer(message: string): { sinceMs: number; remindedMs: number; message: string } {
    const nowMs = this.#options.clock.nowMs();
    this.#outage = { ...(this.#outage ?? { sinceMs: nowMs, remindedMs: nowMs }), message };
    return this.#outage;
  }

  #recover(): void {
    if (!this.#outage) return;
    const { log, clock } = this.#options;
    const seconds = Math.round((clock.nowMs() - this.#outage.sinceMs) / 1000);
    this.#outage = undefined;
    log('info', `Master answers again after ${seconds} s`);
  }

  /** A call that `wake` and `stop` can cut short. */
  async #during<T>(make: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.#call = new AbortController();
    return make(this.#call.signal);
  }

  #wasCutShort(error: unknown): boolean {
    return error instanceof MasterError && this.#call?.signal.aborted === true;
  }

  async #sleep(delayMs: number | undefined): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancel = delayMs === undefined ? undefined : this.#options.clock.after(delayMs, resolve);
      this.#wakeUp = () => {
        cancel?.();
        resolve();
      };
    });
    this.#wakeUp = undefined;
  }
}

/** Whether Master said something, however wrong. */
function reached(error: unknown): boolean {
  return !(error instanceof MasterError) || error.status !== undefined;
}

function clampPct(loadPct: number): number {
  return Math.min(100, Math.max(0, loadPct));
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, i) => text === b[i]);
}
