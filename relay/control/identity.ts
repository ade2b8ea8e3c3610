import { join } from 'node:path';

import { readBoundedFile } from './bounded-file.ts';
import type { ControlLog } from './control-log.ts';
import { replaceFile } from './replace-file.ts';

export interface IdentityOptions {
  /** `WAVRY_RELAY_ID`; wins. */
  readonly configured: string | undefined;
  readonly stateDir: string | undefined;
  readonly randomId: () => string;
  readonly log: ControlLog;
}

/** What Master takes (not blank) and every log line, label and lease carries whole. */
const RELAY_ID = /^[\x21-\x7e]{1,128}$/;
const FILE = 'relay-id';
const MAX_BYTES = 1024;

/**
 * Who this relay is (design-relay 5): as configured, else as it was before (state directory), else new at random.
 * An id outlives a restart because every lease that Master gave out names it. Rejects when a new id can't be kept.
 */
export async function resolveIdentity(options: IdentityOptions): Promise<string> {
  const { configured, stateDir, randomId, log } = options;
  if (configured !== undefined) return configured;
  if (stateDir === undefined) return randomId();
  const path = join(stateDir, FILE);
  const kept = await readKept(path, log);
  if (kept !== undefined) return kept;
  const relayId = randomId();
  await replaceFile(path, `${relayId}\n`);
  return relayId;
}

async function readKept(path: string, log: ControlLog): Promise<string | undefined> {
  let text: string | undefined;
  try {
    text = await readBoundedFile(path, MAX_BYTES);
  } catch (error) {
    log('warn', `${(error as Error).message}: taking a new relay id`);
    return undefined;
  }
  if (text === undefined) return undefined;
  const relayId = text.trim();
  if (RELAY_ID.test(relayId)) return relayId;
  log('warn', `${path} holds no relay id (1 to 128 printable ASCII characters): taking a new one`);
  return undefined;
}
