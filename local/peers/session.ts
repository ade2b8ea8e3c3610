import type { PeerLeases } from '../master/dev-master.ts';
import type { Role } from '../master/lease.ts';
import { parseEndpoint } from './addresses.ts';
import { Flow } from './flow.ts';
import type { LeaseSource } from './lease-source.ts';
import type { PeerEvents } from './peer.ts';
import { Peer } from './peer.ts';
import type { Tally } from './tally.ts';
import { REJECT_REASONS, sessionIdBytes } from './wire.ts';

/**
 * `deployed`: presents its lease once, ignores what the relay answers, never renews. `renewing`: presents until it is
 * acknowledged, gives up on a reject, and renews.
 */
export type Behaviour = 'deployed' | 'renewing';

export type SessionState = 'presenting' | 'handshaking' | 'talking' | 'failed';

/** Two peers and their way from a lease to talking to each other. Times are milliseconds of one monotonic clock. */
export class Session {
  readonly client: Peer;
  readonly server: Peer;
  readonly leases: PeerLeases;
  readonly #behaviour: Behaviour;
  #state: SessionState = 'presenting';
  #failure = '';
  #tokens: Record<Role, Buffer>;
  #startedMs = 0;
  #triedMs = 0;
  #clientHeard = false;

  constructor(
    leases: PeerLeases,
    behaviour: Behaviour,
    from: Record<Role, string | undefined>,
    remembered: number,
    tally: Tally,
  ) {
    this.leases = leases;
    this.#behaviour = behaviour;
    this.#tokens = tokensOf(leases);
    const id = sessionIdBytes(leases.client.session_id);
    const up = new Flow('client', id, remembered);
    const down = new Flow('server', id, remembered);
    const events: PeerEvents = {
      onAck: () => this.#onAck(),
      onReject: (_peer, reason) => this.#onReject(reason),
      onHandshake: (peer) => this.#onHandshake(peer),
    };
    const relay = { client: parseEndpoint(leases.client.addr), server: parseEndpoint(leases.server.addr) };
    this.client = new Peer('client', id, relay.client, from.client, up, down, tally, events);
    this.server = new Peer('server', id, relay.server, from.server, down, up, tally, events);
  }

  get state(): SessionState {
    return this.#state;
  }

  /** Why it failed. */
  get failure(): string {
    return this.#failure;
  }

  async start(nowMs: number): Promise<void> {
    await this.server.open();
    try {
      await this.client.open();
    } catch (error) {
      this.server.close();
      throw error;
    }
    this.#startedMs = nowMs;
    this.#triedMs = nowMs;
    this.#present();
    if (this.#behaviour === 'deployed') this.#shakeHands();
  }

  /** Tries again what has gone unanswered. */
  tick(nowMs: number): void {
    if (this.#state === 'talking' || this.#state === 'failed') return;
    if (nowMs - this.#startedMs >= SETUP_TIMEOUT_MS) {
      this.#fail(this.#whySilent());
    } else if (nowMs - this.#triedMs >= RETRY_MS) {
      this.#triedMs = nowMs;
      if (this.#state === 'presenting') this.#present();
      else this.client.sendHandshake();
    }
  }

  /** One renewal for each peer. */
  renew(): void {
    this.client.renew();
    this.server.renew();
  }

  /** Fresh leases for the same session, presented. */
  async representFresh(source: LeaseSource, leaseSeconds: number | undefined): Promise<void> {
    const { relay_id, session_id } = this.leases.client;
    this.#tokens = tokensOf(
      await source({
        relayId: relay_id,
        sessionId: session_id,
        ...(leaseSeconds !== undefined && { leaseSeconds }),
      }),
    );
    this.#present();
  }

  close(): void {
    this.client.close();
    this.server.close();
  }

  #present(): void {
    for (const peer of [this.server, this.client]) peer.present(this.#tokens[peer.role]);
  }

  #shakeHands(): void {
    this.#state = 'handshaking';
    this.client.sendHandshake();
  }

  #onAck(): void {
    if (this.#state === 'presenting' && this.client.acked && this.server.acked) this.#shakeHands();
  }

  #onReject(reason: number): void {
    if (this.#behaviour === 'renewing' && this.#state !== 'talking') this.#fail(rejection(reason));
  }

  #onHandshake(peer: Peer): void {
    if (this.#state !== 'handshaking') return;
    if (peer.role === 'server') {
      this.#clientHeard = true;
      this.server.sendHandshake();
    } else if (this.#clientHeard) {
      this.#state = 'talking';
    }
  }

  #fail(reason: string): void {
    this.#state = 'failed';
    this.#failure = reason;
  }

  #whySilent(): string {
    const reason = this.client.rejected || this.server.rejected;
    if (reason) return rejection(reason);
    if (this.client.acked && this.server.acked)
      return 'the relay took both leases but forwarded no handshake';
    return 'the relay did not answer';
  }
}

/** How long a session may take until both peers have heard each other. */
const SETUP_TIMEOUT_MS = 10_000;
const RETRY_MS = 250;

function rejection(reason: number): string {
  return `the relay rejected the lease: ${REJECT_REASONS[reason] ?? `reason ${reason}`}`;
}

function tokensOf(leases: PeerLeases): Record<Role, Buffer> {
  return { client: Buffer.from(leases.client.token), server: Buffer.from(leases.server.token) };
}
