import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import type { Config } from '../config/config.ts';
import type { KeyRingState } from '../lease/key-ring.ts';
import type { Clock } from './clock.ts';
import { systemClock } from './clock.ts';
import type { ControlLog } from './control-log.ts';
import { parseEndpoints } from './endpoints.ts';
import { resolveIdentity } from './identity.ts';
import { isUnprotected } from './master-client.ts';
import { MasterKeys } from './master-keys.ts';
import { StateFile } from './state-file.ts';
import type { StateLock } from './state-lock.ts';
import { lockFile } from './state-lock.ts';

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
  readonly masterKeys: MasterKeys;
  /** Undefined without `--state-dir`. */
  readonly stateFile: StateFile | undefined;
  /** Writes the state file out and gives up the state directory, once. `ControlPlane.stop` does it, too. */
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

/**
 * Throws ControlError: an advertised address that can't be one, a key that is none or a keys file that can't be read (64),
 * a state directory that can't be used or that another process holds (1).
 */
export async function layGroundwork(
  config: Config,
  log: ControlLog,
  clock: Clock = systemClock,
): Promise<Groundwork> {
  const { problem } = parseEndpoints(config.advertise, config.listen);
  if (problem !== undefined) throw new ControlError(`--advertise: ${problem}`, EXIT_USAGE);
  const masterKeys = await loadKeys(config, log, clock);
  const lock = await lockState(config);
  try {
    const relayId = await resolveIdentity({
      configured: config.relayId,
      stateDir: config.stateDir,
      randomId: randomUUID,
      log,
    });
    const stateFile = await openState(config, relayId, log, clock);
    let closed: Promise<void> | undefined;
    const close = async (): Promise<void> => {
      await stateFile?.stop();
      lock?.release();
    };
    return {
      relayId,
      keys: masterKeys.state,
      restored: stateFile?.restored ?? [],
      masterKeys,
      stateFile,
      close: () => (closed ??= close()),
    };
  } catch (error) {
    lock?.release();
    throw unusable(config.stateDir, error);
  }
}

/** sysexits.h, EX_USAGE. */
const EXIT_USAGE = 64;
const EXIT_FAILURE = 1;

async function loadKeys(config: Config, log: ControlLog, clock: Clock): Promise<MasterKeys> {
  try {
    const keys = new MasterKeys({
      flags: config.masterPublicKeys,
      file: config.masterKeysFile,
      unprotected: isUnprotected(config.masterUrl),
      insecure: config.allowInsecureDev,
      clock,
      log,
    });
    await keys.load();
    return keys;
  } catch (error) {
    throw new ControlError((error as Error).message, EXIT_USAGE);
  }
}

async function lockState({ stateDir }: Config): Promise<StateLock | undefined> {
  if (stateDir === undefined) return undefined;
  let lock: StateLock | undefined;
  try {
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    lock = await lockFile(join(stateDir, 'lock'));
  } catch (error) {
    throw unusable(stateDir, error);
  }
  if (lock) return lock;
  throw new ControlError(
    `--state-dir ${stateDir} is in use by another relay process: give each relay a directory of its own`,
    EXIT_FAILURE,
  );
}

/** What is wrong with a state directory, and what to do where that isn't plain from it: a container meets these two first. */
function unusable(stateDir: string | undefined, error: unknown): ControlError {
  const { code, message } = error as NodeJS.ErrnoException;
  const advice =
    code === 'EROFS'
      ? '; the file system is read-only there: mount a volume (docker run -v, or a volume of the pod)'
      : code === 'EACCES' || code === 'EPERM'
        ? `; user ${process.getuid?.()} may not write there: make that user its owner (chown), or name another directory`
        : '';
  return new ControlError(`--state-dir ${stateDir} can't be used: ${message}${advice}`, EXIT_FAILURE);
}

async function openState(
  { stateDir }: Config,
  relayId: string,
  log: ControlLog,
  clock: Clock,
): Promise<StateFile | undefined> {
  if (stateDir === undefined) return undefined;
  const path = join(stateDir, 'sessions');
  const file = await StateFile.open({ path, relayId, clock, log });
  if (file.corruptRecords > 0) {
    log('warn', `${path}: ${file.corruptRecords} records are damaged and were skipped`);
  }
  if (file.foreignRecords > 0) {
    log('warn', `${path}: ${file.foreignRecords} records belong to another relay id and were dropped`);
  }
  return file;
}
