import type { Config } from '../config/config.ts';
import type { KeyRingState } from '../lease/key-ring.ts';
import type { ControlLog } from './control-log.ts';

/**
 * What the relay has to know before its datapath starts: who it is, which keys it trusts, and the sessions that it kept.
 *
 * Holds the state directory's lock until `close`.
 */
export interface Groundwork {
  readonly relayId: string;
  /** Pinned keys at start; empty until Master's answer when nothing is pinned. */
  readonly keys: KeyRingState;
  /** 256-byte session records (relay/session/record.ts) to hand to the datapath. */
  readonly restored: readonly Uint8Array[];
  /** Gives up the state directory; for a start that failed afterwards. `ControlPlane.stop` does it otherwise. */
  close(): Promise<void>;
}

/** A start that can't go on; `exitCode` is 64 for what the operator has to change in the configuration, else 1. */
export class ControlError extends Error {
  readonly exitCode: number;
  constructor(message: string, exitCode: number) {
    super(message);
    this.name = 'ControlError';
    this.exitCode = exitCode;
  }
}

/** Throws ControlError: state directory unusable or held by another process, key file unreadable, bad relay id. */
export async function layGroundwork(config: Config, log: ControlLog): Promise<Groundwork> {
  throw new ControlError(`not built yet (${config.listen.host}, ${typeof log})`, 1);
}
