import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';

export interface StateLock {
  release(): void;
}

/**
 * Locks a file for one holder; undefined when it has one, in this process or another.
 *
 * node:sqlite is here only because it takes the kernel's record locks, which nothing else in Node does: they end with the
 * process, however it ends, so that no stale lock file ever needs judging. Nothing is written to the file.
 * Rejects when the file can't be made or locked at all.
 */
export async function lockFile(path: string): Promise<StateLock | undefined> {
  const key = resolve(path);
  // Not even to be opened again: fcntl(2) locks go when the process closes any descriptor of their file.
  if (held.has(key)) return undefined;
  held.set(key, undefined);
  try {
    const database = await lock(path);
    if (database) held.set(key, database);
    else held.delete(key);
    return (
      database && {
        release: () => {
          database.close();
          held.delete(key);
        },
      }
    );
  } catch (error) {
    held.delete(key);
    throw error;
  }
}

/** What this process has locked; also so that no database, with its lock, is ever garbage. Undefined: about to be. */
const held = new Map<string, DatabaseSync | undefined>();

const SQLITE_BUSY = 5;

async function lock(path: string): Promise<DatabaseSync | undefined> {
  // Emptied, as anything in it would be read as a database; O_NOFOLLOW, so that no other file is emptied in its place.
  const flags = constants.O_CREAT | constants.O_WRONLY | constants.O_TRUNC | constants.O_NONBLOCK;
  const file = await open(path, flags | constants.O_NOFOLLOW, 0o600);
  try {
    if (!(await file.stat()).isFile()) throw new Error(`${path} is not a regular file`);
  } finally {
    await file.close();
  }
  const { DatabaseSync } = await import('node:sqlite');
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    database.exec('PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
    return database;
  } catch (error) {
    database.close();
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) return undefined;
    throw error;
  }
}
