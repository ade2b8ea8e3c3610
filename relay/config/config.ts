/**
 * What the relay is told at start, validated and with every default filled in (design-relay 7).
 * Durations are milliseconds, rates are per second.
 */
export interface Config {
  readonly listen: SocketAddress;
  readonly healthListen: SocketAddress;
  readonly masterUrl: URL;
  /** Each 64 lower-case hex digits, or `kid=` and those. */
  readonly masterPublicKeys: readonly string[];
  readonly masterKeysFile: string | undefined;
  readonly masterToken: string | undefined;
  readonly masterTokenFile: string | undefined;
  /** Never true while a Master key is pinned, nor on an address that strangers can reach. */
  readonly allowInsecureDev: boolean;
  readonly allowPublicBind: boolean;
  readonly relayId: string | undefined;
  readonly region: string | undefined;
  readonly asn: number | undefined;
  readonly maxBitrateKbps: number;
  readonly maxSessions: number;
  readonly maxThroughputMbps: number | undefined;
  readonly idleTimeoutMs: number;
  readonly leaseDurationMs: number;
  readonly cleanupIntervalMs: number;
  readonly renewOnTraffic: boolean;
  readonly rebindOnForward: 'port' | 'off';
  readonly ipRateLimitPps: number;
  readonly identityRateLimitPps: number;
  readonly packetQueueCapacity: number;
  readonly loadShedThresholdPct: number;
  readonly workers: number;
  /** Asked for, so that fewer will not do. */
  readonly workersAsked: boolean;
  readonly datapath: 'auto' | 'mmsg' | 'dgram';
  /** `ip:port` texts, in the order of registration. */
  readonly advertise: readonly string[];
  /** `host` or `host:port`; the host may be a name. */
  readonly stunServer: string | undefined;
  readonly controlDir: string | undefined;
  readonly stateDir: string | undefined;
  readonly drainTimeoutMs: number;
  readonly statsLogIntervalMs: number;
  readonly logLevel: LogLevel;
  readonly logFormat: 'text' | 'json';
}

export type LogLevel = 'off' | 'error' | 'warn' | 'info' | 'debug';

export interface SocketAddress {
  readonly host: string;
  readonly port: number;
  readonly family: 4 | 6;
}
