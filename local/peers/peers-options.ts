import type { AddressRange } from './addresses.ts';
import type { FloodKind } from './flood.ts';
import type { LeaseSource } from './lease-source.ts';
import type { PeersSnapshot } from './peers-snapshot.ts';
import type { Behaviour } from './session.ts';

/** What peers are to do. */
export interface PeersOptions {
  readonly leases: LeaseSource;
  readonly sessions: number;
  /** Packets a second of each session and direction; 0 leaves the pings. */
  readonly rate: number;
  /** Bytes of a datagram with all headers, 38 to 1500. */
  readonly size: number;
  /** Packets sent back to back (default 1). */
  readonly train?: number;
  /** Seconds of traffic; until `stop()` without it. */
  readonly durationSeconds?: number;
  /** Both peers send; without it the server does. */
  readonly bidirectional?: boolean;
  /** Default `deployed`. */
  readonly behaviour?: Behaviour;
  readonly leaseSeconds?: number;
  readonly hardKbps?: number;
  /** Sets up this many sessions a second, at most (default 250). */
  readonly setupRate?: number;
  /** Seconds between two renewals of `renewing` peers (default 60). */
  readonly renewSeconds?: number;
  /** Addresses that peers send from, one after the other. */
  readonly bind?: AddressRange;
  /** Seconds of traffic after which every client goes on from a new port. */
  readonly rebindAfterSeconds?: number;
  /** Sends packets a second time, at once and when they are old. */
  readonly replay?: boolean;
  /** For each session somebody presents a copy of the client's lease. */
  readonly copiedToken?: boolean;
  readonly flood?: { readonly kind: FloodKind; readonly rate: number; readonly addresses: number };
  /** Called once a second while packets flow. */
  readonly onSecond?: (snapshot: PeersSnapshot) => void;
}
