import type { Config, SocketAddress } from '../config/config.ts';
import type { KeyRingState } from '../lease/key-ring.ts';

export interface DatapathOptions {
  readonly config: Config;
  readonly relayId: string;
  /** Session records of 256 bytes (relay/session/record.ts), dealt out by session id before reading starts. */
  readonly restored: readonly Uint8Array[];
  readonly keys: KeyRingState;
  readonly log: DatapathLog;
}

/** Structurally relay/control's ControlLog. A line about a packet ends in its source address and carries no fields. */
export type DatapathLog = (
  level: 'error' | 'warn' | 'info' | 'debug',
  message: string,
  fields?: Readonly<Record<string, string | number | boolean>>,
) => void;

/** The running packet path, as the main thread sees it. No method waits for a worker, except `askStun` and `stop`. */
export interface Datapath {
  readonly kind: 'mmsg' | 'dgram';
  readonly workers: number;
  /** Really bound: the port is never 0. */
  readonly address: SocketAddress;
  /** One line for the log: kind and why, workers, segmentation offload, buffers. */
  readonly description: string;

  /** COUNTER_CELLS numbers, summed over the workers; a fresh array at every call. */
  totals(): Float64Array;
  heldSessions(): number;
  activeSessions(): number;
  /** Share of the time since the last call in which each worker was busy, 0 to 1. For one caller: the overload judge. */
  busyRatios(): Float64Array;
  /** Receive buffer of one socket in bytes, as net.core.rmem_max counts (half of what the kernel reserves). */
  socketBufferBytes(): number;
  /** Datagrams that the kernel dropped for want of buffer space, over all sockets; read at most once a second. */
  kernelDrops(): number;

  setKeys(keys: KeyRingState): void;
  setShedding(on: boolean): void;
  /** Both clocks at the drain's start: monotonic and Unix milliseconds. `undefined` ends a drain. */
  setDraining(startedMs: number | undefined, startedWallMs: number): void;
  /** `ip:port` texts; a present from one of them is invalid. What isn't an address is ignored. */
  setOwnEndpoints(addresses: readonly string[]): void;

  /**
   * Copies out each session record that changed since the last call, keyed by worker and slot; `undefined` when the
   * session of that slot is gone. Returns how many. The record's bytes are only valid within `visit`. After `stop` has
   * resolved, one more call gives all that is left.
   */
  takeDirty(visit: (worker: number, slot: number, record: Uint8Array | undefined) => void): number;
  /** Asks a STUN server (`ip:port`) from the data socket: the mapped `ip:port`. Rejects after `timeoutMs`. */
  askStun(server: string, timeoutMs: number): Promise<string>;
  /** To be called once a second: the workers whose heartbeat was the same over the last 10 calls. */
  stalledWorkers(): number[];
  /** A worker died; called at most once. The process should end with a non-zero code. */
  onFatal(listener: (reason: string) => void): void;
  /** Ends the workers and closes the sockets. Idempotent. */
  stop(): Promise<void>;
}
