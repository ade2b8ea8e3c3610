import { Histogram } from './histogram.ts';
import { REJECT_REASONS } from './wire.ts';

/** The counts at one moment. */
export type TallyCounts = Readonly<Omit<Tally, 'latency' | 'countReject' | 'counts'>>;

/** What a run's peers count together. Lost packets are known to the flows only. */
export class Tally {
  sent = 0;
  sentBytes = 0;
  received = 0;
  receivedBytes = 0;
  corrupted = 0;
  duplicated = 0;
  reordered = 0;
  tooLate = 0;
  replayed = 0;
  handshakes = 0;
  presents = 0;
  renews = 0;
  acks = 0;
  /** By reason; what is no known reason counts as 0. */
  readonly rejects: number[] = REJECT_REASONS.map(() => 0);
  /** Sends and receives that the system refused, as when nothing listens at the relay's port any more. */
  socketErrors = 0;
  /** Fresh leases that could not be had. */
  renewalsFailed = 0;
  rebinds = 0;
  rebindsRecovered = 0;
  slowestRebindMs = 0;
  /** Of the second that runs. */
  readonly latency: Histogram = new Histogram();

  counts(): TallyCounts {
    const { latency: _latency, ...counts } = this;
    return { ...counts, rejects: [...this.rejects] };
  }

  countReject(reason: number): void {
    const known = reason < this.rejects.length ? reason : 0;
    this.rejects[known]!++;
  }
}
