import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';

import type { Clock } from './clock.ts';
import { every } from './clock.ts';
import type { ControlLog } from './control-log.ts';
import { RECORD_BYTES, RECORD_SESSION_ID_OFFSET, checkRecord } from '../session/record.ts';
import { StateSlots } from './state-slots.ts';

export interface StateFileOptions {
  readonly path: string;
  /** Only this relay's records are sound. */
  readonly relayId: string;
  readonly clock: Clock;
  readonly log: ControlLog;
  /** node:fs's when left out. */
  readonly openFile?: typeof open;
}

/** As Datapath.takeDirty. */
export type TakeDirty = (
  visit: (worker: number, slot: number, record: Uint8Array | undefined) => void,
) => number;

/** Half of the 20 ms within which a change has to be written. */
const TICK_MS = 10;
const RETRY_MS = 1000;
const HANGS = 'the disk hangs';
/**
 * A write under way for more ticks, 5 s, counts as a failing disk. Ticks, because a process that stood still that long, as in a
 * suspended machine, knows nothing of the disk.
 */
const HANGING_TICKS = 5000 / TICK_MS;
/** How long a stop waits for the disk. */
const LAST_WRITE_MS = 2000;
/** Restored sessions that no worker has shown by then were not taken. */
const CLAIM_MS = 30_000;
/** 64 MiB: more sessions than a relay holds. */
const MAX_SLOTS = 262_144;

/**
 * The sessions on disk (design-relay 6): slots of 256 bytes, each a record or all zeros, written in place.
 *
 * Every write covers whole slots and a slot never straddles a page, so that a process killed at any moment leaves each
 * record old or new. It is not synced to the device: after a crash of the machine itself checksums tell what is whole.
 * Nothing here waits for the disk but `stop`, and that only for two seconds.
 */
export class StateFile {
  readonly restored: readonly Uint8Array[];
  readonly corruptRecords: number;
  /** Records of another relay id, which are dropped. */
  readonly foreignRecords: number;

  readonly #options: StateFileOptions;
  readonly #file: FileHandle;
  readonly #slots: StateSlots;
  readonly #restorable: number;
  /** What each slot has to become; undefined: zeros. */
  #pending = new Map<number, Uint8Array | undefined>();
  #writing: Promise<void> | undefined;
  #writingTicks = 0;
  #retryAtMs = 0;
  #problem: string | undefined;
  #writeErrors = 0;
  #expired = 0;
  #cancel: (() => void)[] = [];
  #take: TakeDirty | undefined;

  /** Opens or makes the file and reads it. Rejects with an error that names it when that is not possible. */
  static async open(options: StateFileOptions): Promise<StateFile> {
    const { path } = options;
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const file = await (options.openFile ?? open)(path, flags, 0o600);
    try {
      const info = await file.stat();
      if (!info.isFile()) throw new Error(`${path} is not a regular file`);
      if ((info.mode & 0o777) !== 0o600) await file.chmod(0o600);
      const contents = await read(file, options.relayId);
      // Left over, or a length that is no whole number of slots.
      await file.truncate(contents.end * RECORD_BYTES);
      return new StateFile(options, file, contents);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  private constructor(options: StateFileOptions, file: FileHandle, contents: Contents) {
    this.#options = options;
    this.#file = file;
    this.restored = contents.records;
    this.corruptRecords = contents.corrupt;
    this.foreignRecords = contents.foreign;
    this.#slots = new StateSlots(contents.sound, contents.end);
    this.#restorable = this.#slots.unclaimed;
    for (const slot of contents.unusable) this.#pending.set(slot, undefined);
  }

  /** Sessions that the workers took over. */
  get restoredSessions(): number {
    return this.#restorable - this.#slots.unclaimed - this.#expired;
  }

  get writeErrorsTotal(): number {
    return this.#writeErrors;
  }

  /** Writes what `take` brings, from now on. */
  start(take: TakeDirty): void {
    const { clock } = this.#options;
    this.#take = take;
    this.#cancel = [
      every(clock, TICK_MS, () => this.#tick()),
      clock.after(CLAIM_MS, () => {
        const slots = this.#slots.releaseUnclaimed();
        this.#expired += slots.length;
        for (const slot of slots) this.#pending.set(slot, undefined);
      }),
    ];
  }

  /** Writes the rest and closes the file. */
  async stop(): Promise<void> {
    for (const cancel of this.#cancel) cancel();
    let hanging = false;
    let giveUp: (() => void) | undefined;
    const late = new Promise<void>((resolve) => {
      giveUp = this.#options.clock.after(LAST_WRITE_MS, () => {
        hanging = true;
        resolve();
      });
    });
    const last = async (): Promise<void> => {
      await this.#writing;
      this.#collect();
      await this.#write();
    };
    await Promise.race([last(), late]);
    giveUp?.();
    if (hanging)
      this.#options.log('error', `${this.#options.path}: the disk hangs, the last changes are lost`);
    else await this.#file.close();
  }

  #tick(): void {
    if (this.#writing) {
      if (++this.#writingTicks > HANGING_TICKS) this.#fail(HANGS);
      return;
    }
    if (this.#options.clock.nowMs() < this.#retryAtMs) return;
    this.#collect();
    if (this.#pending.size === 0) return;
    this.#writingTicks = 0;
    this.#writing = this.#write().finally(() => (this.#writing = undefined));
  }

  #collect(): void {
    this.#take?.((worker, tableSlot, record) => {
      if (!record) {
        const slot = this.#slots.release(worker, tableSlot);
        if (slot !== undefined) this.#pending.set(slot, undefined);
        return;
      }
      const slot = this.#slots.take(worker, tableSlot, () => sessionIdOf(record));
      if (slot < MAX_SLOTS) this.#pending.set(slot, record.slice());
    });
  }

  async #write(): Promise<void> {
    const batch = this.#pending;
    this.#pending = new Map();
    for (const { first, bytes } of runs(batch)) {
      try {
        await writeFully(this.#file, bytes, first * RECORD_BYTES);
      } catch (error) {
        // Again with the next batch, unless that has something newer for the slot.
        for (const [slot, record] of batch) {
          if (!this.#pending.has(slot)) this.#pending.set(slot, record);
        }
        this.#retryAtMs = this.#options.clock.nowMs() + RETRY_MS;
        this.#fail((error as NodeJS.ErrnoException).code ?? (error as Error).message);
        return;
      }
    }
    if (this.#problem !== undefined && this.#pending.size === 0) {
      this.#problem = undefined;
      this.#options.log('info', `${this.#options.path} is being written again`);
    }
  }

  #fail(problem: string): void {
    if (problem !== HANGS || this.#problem !== HANGS) this.#writeErrors++;
    if (problem === this.#problem) return;
    this.#problem = problem;
    this.#options.log(
      'warn',
      `${this.#options.path} can't be written (${problem}): sessions go on, but a restart would lose those that changed`,
    );
  }
}

interface Contents {
  readonly records: readonly Uint8Array[];
  /** Slots of the records by session id. */
  readonly sound: ReadonlyMap<string, number>;
  /** Slots to be cleared. */
  readonly unusable: readonly number[];
  readonly corrupt: number;
  readonly foreign: number;
  /** One more than the last slot in use. */
  readonly end: number;
}

/** A stretch of slots that is written by one call. */
interface Run {
  readonly first: number;
  readonly bytes: Uint8Array;
}

async function read(file: FileHandle, relayId: string): Promise<Contents> {
  const records: Uint8Array[] = [];
  const sound = new Map<string, number>();
  const unusable: number[] = [];
  let corrupt = 0;
  let foreign = 0;
  let end = 0;
  const chunk = Buffer.alloc(256 * RECORD_BYTES);
  for (let first = 0; first < MAX_SLOTS;) {
    const length = await readFully(file, chunk, first * RECORD_BYTES);
    for (let at = 0; at < length; at += RECORD_BYTES) {
      const slot = first + at / RECORD_BYTES;
      const record = chunk.subarray(at, at + RECORD_BYTES);
      // A file that ends within a record: what is missing counts as zeros.
      if (length < at + RECORD_BYTES) chunk.fill(0, length, at + RECORD_BYTES);
      const verdict = checkRecord(record, 0, relayId);
      if (verdict === 'free') continue;
      end = slot + 1;
      const sessionId = sessionIdOf(record);
      if (verdict === 'sound' && !sound.has(sessionId)) {
        sound.set(sessionId, slot);
        records.push(Uint8Array.from(record));
      } else {
        unusable.push(slot);
        if (verdict === 'other-relay') foreign++;
        else corrupt++;
      }
    }
    if (length < chunk.length) break;
    first += chunk.length / RECORD_BYTES;
  }
  return { records, sound, unusable, corrupt, foreign, end };
}

function sessionIdOf(record: Uint8Array): string {
  const start = RECORD_SESSION_ID_OFFSET;
  return Buffer.from(record.buffer, record.byteOffset + start, 16).toString('hex');
}

async function readFully(file: FileHandle, into: Uint8Array, position: number): Promise<number> {
  let length = 0;
  while (length < into.length) {
    const { bytesRead } = await file.read(into, length, into.length - length, position + length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return length;
}

async function writeFully(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, position + written);
    written += bytesWritten;
  }
}

/** Neighbouring slots together, 64 KiB at most. */
function* runs(batch: ReadonlyMap<number, Uint8Array | undefined>): Generator<Run> {
  const slots = [...batch.keys()].toSorted((a, b) => a - b);
  for (let i = 0; i < slots.length;) {
    let count = 1;
    while (count < 256 && slots[i + count] === slots[i]! + count) count++;
    const bytes = new Uint8Array(count * RECORD_BYTES);
    for (let k = 0; k < count; k++) {
      const record = batch.get(slots[i + k]!);
      if (record) bytes.set(record, k * RECORD_BYTES);
    }
    yield { first: slots[i]!, bytes };
    i += count;
  }
}
