import type { Config } from '../config/config.ts';
import type { Datapath } from '../datapath/datapath.ts';
import type { ControlLog } from './control-log.ts';
import type { Groundwork } from './groundwork.ts';
import type { RelayStatus } from './relay-status.ts';

export interface ControlPlaneOptions {
  readonly config: Config;
  readonly groundwork: Groundwork;
  readonly datapath: Datapath;
  readonly log: ControlLog;
}

export interface ControlPlane {
  status(): RelayStatus;
  /** SIGTERM or SIGINT came: drain, then finish; the second call finishes at once. */
  signal(name: string): void;
  /** Resolves with the process's exit code once there is nothing left to stay for. Never rejects. */
  readonly finished: Promise<number>;
  /** Ends every timer, watch and call, writes the state file out and unlocks it. Does not stop the datapath. */
  stop(): Promise<void>;
}

/** Starts Master's client, the watches, the state file, the drain and the supervision over a running datapath. */
export function startControlPlane(options: ControlPlaneOptions): ControlPlane {
  throw new Error(`not built yet (${options.groundwork.relayId})`);
}
