import type { FloodCount } from './flood.ts';
import type { Percentiles } from './histogram.ts';
import type { TallyCounts } from './tally.ts';

export type Phase = 'setting up' | 'talking' | 'settling' | 'done';

/** What is known at the moment; counts are since the start. */
export interface PeersSnapshot {
  readonly phase: Phase;
  /** Of traffic. */
  readonly seconds: number;
  readonly sessions: { readonly wanted: number; readonly established: number; readonly failed: number };
  /** Why sessions failed, with how many did. */
  readonly failures: Readonly<Record<string, number>>;
  readonly tally: TallyCounts;
  /** Missing below the highest id that came; at the end everything that was sent and did not come. */
  readonly lost: number;
  /** Trains that this machine was too busy to send. */
  readonly skipped: number;
  /** Latency of the last whole second, and of the whole run. */
  readonly recent: Percentiles;
  readonly overall: Percentiles;
  readonly loot?: { readonly presents: number; readonly acks: number; readonly stolenPackets: number };
  readonly flood?: FloodCount;
}
