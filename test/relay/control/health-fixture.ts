import type { MetricSources } from '../../../relay/control/metrics.ts';
import { startingStatus } from '../../../relay/control/relay-status.ts';
import type { RelayStatus } from '../../../relay/control/relay-status.ts';
import { Counter, COUNTER_CELLS } from '../../../relay/pipeline/counters.ts';

export const RELAY_ID = '550e8400-e29b-41d4-a716-446655440000';

/** What a serving relay says of itself, to be changed by a test. */
export interface Fixture {
  status: RelayStatus;
  cells: Float64Array;
  running: boolean;
  uptimeMs: number;
  readonly sources: MetricSources;
}

export function servingRelay(): Fixture {
  const cells = new Float64Array(COUNTER_CELLS);
  for (let cell = 0; cell < COUNTER_CELLS; cell++) cells[cell] = 1000 + cell;
  const fixture: Fixture = {
    status: {
      ...startingStatus(RELAY_ID),
      state: 'serving',
      ready: true,
      notReadyReason: undefined,
      registered: true,
      endpoints: ['192.0.2.1:4000'],
    },
    cells,
    running: true,
    uptimeMs: 3_600_999,
    sources: {
      status: () => fixture.status,
      datapath: () =>
        fixture.running
          ? {
              workers: 2,
              totals: () => fixture.cells.slice(),
              activeSessions: () => 12,
              heldSessions: () => 15,
              kernelDrops: () => 7,
              socketBufferBytes: () => 4_194_304,
            }
          : undefined,
      hasMasterKey: () => true,
      maxSessions: 100,
      uptimeMs: () => fixture.uptimeMs,
    },
  };
  return fixture;
}

export const cellOf = (name: keyof typeof Counter): number => Counter[name];
