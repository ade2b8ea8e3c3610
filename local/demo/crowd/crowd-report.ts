/** What one relay's peers got in the last second. */
export interface RelayTraffic {
  readonly sessions: number;
  readonly packets: number;
  readonly bytes: number;
  /** Latency of its slowest session, ms. */
  readonly p50: number;
  readonly p99: number;
  /** In this relay's present sessions, since they began. */
  readonly lost: number;
}

/** What the crowd prints once a second, as one line of JSON. */
export interface CrowdReport {
  /** Since the first packet came through; 0 before. */
  readonly seconds: number;
  /** Relays that Master knows and hears. */
  readonly registered: number;
  /** By relay id; those with sessions only. */
  readonly relays: Readonly<Record<string, RelayTraffic>>;
  /** Since the start, sessions that have ended included. */
  readonly total: CrowdTotal;
  /** Why sessions failed, with how many did. */
  readonly failures: Readonly<Record<string, number>>;
  /** Why Master can't be asked at the moment. */
  readonly trouble?: string;
}

export interface CrowdTotal {
  readonly sessions: number;
  readonly sent: number;
  readonly received: number;
  readonly receivedBytes: number;
  readonly lost: number;
  /** Duplicated or corrupted. */
  readonly wrong: number;
}
