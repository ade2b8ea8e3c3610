import type { LeaseSource } from '../../peers/lease-source.ts';
import type { PeersSnapshot } from '../../peers/peers-snapshot.ts';
import type { RunningPeers } from '../../peers/peers.ts';
import { startPeers } from '../../peers/peers.ts';
import type { CrowdTotal, RelayTraffic } from './crowd-report.ts';

export interface PairOptions {
  readonly relayId: string;
  readonly leases: LeaseSource;
  /** Packets a second in each direction, and their bytes. */
  readonly rate: number;
  readonly size: number;
  readonly lifeSeconds: number;
}

/** Two peers that play through one relay for a while. */
export class Pair {
  readonly relayId: string;
  /** Resolves when it is over, with the reason when it failed. */
  readonly ended: Promise<string | undefined>;
  readonly #peers: RunningPeers;
  #before = { received: 0, bytes: 0 };
  #quietSeconds = 0;

  constructor({ relayId, leases, rate, size, lifeSeconds }: PairOptions) {
    this.relayId = relayId;
    this.#peers = startPeers({
      leases: (request) => leases({ ...request, relayId }),
      sessions: 1,
      rate,
      size,
      bidirectional: true,
      behaviour: 'renewing',
      durationSeconds: lifeSeconds,
    });
    this.ended = this.#peers.done.then(
      ({ failures }) => Object.keys(failures)[0],
      (error: Error) => error.message,
    );
  }

  /** What came since the last call. A pair whose relay has fallen silent gives up, as players would. */
  second(): RelayTraffic {
    const { tally, recent, lost, sessions, phase } = this.#peers.snapshot();
    const packets = tally.received - this.#before.received;
    const bytes = tally.receivedBytes - this.#before.bytes;
    this.#before = { received: tally.received, bytes: tally.receivedBytes };
    this.#quietSeconds = phase === 'talking' && packets === 0 ? this.#quietSeconds + 1 : 0;
    if (this.#quietSeconds >= PATIENCE_SECONDS) void this.stop();
    return { sessions: sessions.established, packets, bytes, p50: recent.p50, p99: recent.p99, lost };
  }

  total(): CrowdTotal {
    return totalOf(this.#peers.snapshot());
  }

  async stop(): Promise<void> {
    // A failure is told by `ended`.
    await this.#peers.stop().catch(() => undefined);
  }
}

const PATIENCE_SECONDS = 3;

function totalOf({ tally, lost, sessions }: PeersSnapshot): CrowdTotal {
  return {
    sessions: sessions.established,
    sent: tally.sent,
    received: tally.received,
    receivedBytes: tally.receivedBytes,
    lost,
    wrong: tally.duplicated + tally.corrupted,
  };
}
