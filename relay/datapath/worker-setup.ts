import type { SocketAddress } from '../config/config.ts';
import type { KeyRingState } from '../lease/key-ring.ts';
import type { PipelineLimits } from '../pipeline/pipeline.ts';

/** What a worker thread is started with (structured clone; the shared buffers stay shared). */
export interface WorkerSetup {
  readonly index: number;
  readonly workers: number;
  readonly relayId: string;
  readonly insecure: boolean;
  readonly maxSessions: number;
  readonly shedThresholdPct: number;
  readonly packetQueueCapacity: number;
  readonly limits: PipelineLimits;
  readonly keys: KeyRingState;
  /** This worker's session records. */
  readonly restored: readonly Uint8Array[];
  /** Six words each. */
  readonly ownEndpoints: Int32Array;
  /** Four random words, not the same for any two workers. */
  readonly seed: Uint32Array;
  readonly logPackets: boolean;
  readonly state: SharedArrayBuffer;
  /** Undefined without a state file. */
  readonly records: SharedArrayBuffer | undefined;
  readonly socket: MmsgSocket | DgramSocket;
}

export interface MmsgSocket {
  readonly kind: 'mmsg';
  /** The process's, closed by the main thread. */
  readonly fd: number;
  readonly bound: SocketAddress;
  /** UDP_GRO and UDP_SEGMENT, as probed. */
  readonly coalescing: boolean;
  readonly segmenting: boolean;
  /** Between several workers. */
  readonly others: { readonly rings: SharedArrayBuffer; readonly cookie: Int32Array } | undefined;
}

export interface DgramSocket {
  readonly kind: 'dgram';
  readonly listen: SocketAddress;
}

/** Main thread to worker, announced by SharedState.announceMail. */
export type Mail =
  | { readonly kind: 'keys'; readonly keys: KeyRingState }
  | { readonly kind: 'own-endpoints'; readonly addresses: Int32Array }
  | { readonly kind: 'stun'; readonly id: number; readonly server: Int32Array; readonly timeoutMs: number };

/** Worker to main thread. */
export type Report =
  | { readonly kind: 'ready'; readonly address?: SocketAddress; readonly bufferBytes?: number }
  /** Before it was ready: it could not bind. */
  | { readonly kind: 'refused'; readonly code: string }
  | { readonly kind: 'log'; readonly line: string }
  | { readonly kind: 'stun'; readonly id: number; readonly mapped: Int32Array };
