import { keyMismatch, newKeyRing, withAnswer, withPinnedKeys } from '../lease/key-ring.ts';
import type { KeyRingState } from '../lease/key-ring.ts';
import { masterKeyFromBytes, parseMasterKey } from '../lease/master-key.ts';
import { masterKeyId } from '../lease/verification-key.ts';
import type { MasterKey } from '../lease/verification-key.ts';
import { readBoundedFile } from './bounded-file.ts';
import type { Clock } from './clock.ts';
import { every } from './clock.ts';
import type { ControlLog } from './control-log.ts';

export interface MasterKeysOptions {
  /** `hex` or `kid=hex`. */
  readonly flags: readonly string[];
  /** One key a line, in the same form; blank lines and those that begin with `#` don't count. */
  readonly file: string | undefined;
  /** Master's answers could have been altered on their way: plain HTTP from elsewhere. */
  readonly unprotected: boolean;
  /** Leases are not verified at all (`--allow-insecure-dev`). */
  readonly insecure: boolean;
  readonly clock: Clock;
  readonly log: ControlLog;
}

/** How often the keys file is looked at. */
const KEYS_POLL_MS = 1000;
const MAX_FILE_BYTES = 65_536;
const MAX_KEYS = 64;

/** Master's keys: those that are pinned and those that registrations brought (design-relay 5, "Keys"). */
export class MasterKeys {
  readonly #options: MasterKeysOptions;
  readonly #flagKeys: readonly MasterKey[];
  #state: KeyRingState;
  #fileText: string | undefined;
  #fileProblem: string | undefined;
  #onChange: (state: KeyRingState) => void = () => {};
  #warned = false;
  #cancel: (() => void) | undefined;
  #reading: Promise<void> = Promise.resolve();

  /** Throws for a key that is none. */
  constructor(options: MasterKeysOptions) {
    this.#options = options;
    this.#flagKeys = options.flags.map(parseKey);
    this.#state = newKeyRing(this.#flagKeys);
  }

  get state(): KeyRingState {
    return this.#state;
  }

  /** Whether a lease can be verified by now. */
  get hasKey(): boolean {
    return this.#options.insecure || this.#state.pinned.length > 0 || this.#state.answers.length > 0;
  }

  /** Why leases that Master signs now are refused; undefined: they are not. */
  get problem(): string | undefined {
    const mismatch = this.#options.insecure ? undefined : keyMismatch(this.#state);
    return (
      mismatch &&
      `Master signs with key ${mismatch.masterKeyId}, which is not pinned (pinned: ${mismatch.pinnedKeyIds.join(', ')}): add it with --master-public-key or in --master-keys-file`
    );
  }

  /** Reads the keys file for the first time; rejects for one that is missing or bad, as pinning was asked for. */
  async load(): Promise<void> {
    const { file } = this.#options;
    if (file === undefined) return;
    this.#take(await readKeysFile(file));
  }

  /** From now on `onChange` hears of every new state, and the file is read again when it changes. */
  start(onChange: (state: KeyRingState) => void): void {
    this.#onChange = onChange;
    const { file, clock } = this.#options;
    if (file === undefined) return;
    let busy = false;
    this.#cancel = every(clock, KEYS_POLL_MS, () => {
      if (busy) return;
      busy = true;
      this.#reading = this.#poll(file).finally(() => (busy = false));
    });
  }

  async stop(): Promise<void> {
    this.#cancel?.();
    await this.#reading;
  }

  /** The key of a registration's answer. Throws, changing nothing, for one that nobody can sign with. */
  learn(bytes: Uint8Array, keyId: string | undefined): void {
    const result = masterKeyFromBytes(bytes, keyId);
    if ('problem' in result) throw new Error(`master_public_key: ${result.problem}`);
    const { log, unprotected, clock, insecure } = this.#options;
    const before = this.#state;
    this.#change(withAnswer(before, result.key, clock.wallMs()));
    if (this.#state === before) return;
    const name = masterKeyId(result.key);
    const { problem } = this;
    if (problem !== undefined) log('error', problem);
    else if (before.answers.length > 0) log('info', `Master signs leases with another key now: ${name}`);
    if (this.#state.pinned.length > 0 || !unprotected || insecure || this.#warned) return;
    this.#warned = true;
    log(
      'warn',
      `Trusting Master's key ${name}, which came over plain HTTP, where others could have put theirs in its place: use https, or pin it with --master-public-key`,
    );
  }

  async #poll(file: string): Promise<void> {
    try {
      const { text, keys } = await readKeysFile(file, this.#fileText);
      if (this.#fileProblem !== undefined) this.#options.log('info', `${file} is in order again`);
      this.#fileProblem = undefined;
      if (keys) this.#take({ text, keys });
    } catch (error) {
      const { message } = error as Error;
      if (message === this.#fileProblem) return;
      this.#fileProblem = message;
      this.#options.log('error', `${message}; going on with the keys it held before`);
    }
  }

  #take({ text, keys }: { text: string; keys?: readonly MasterKey[] | undefined }): void {
    const again = this.#fileText !== undefined;
    this.#fileText = text;
    const pinned = [...this.#flagKeys, ...(keys ?? [])];
    this.#change(withPinnedKeys(this.#state, pinned));
    if (!again) return;
    this.#options.log(
      'info',
      `${this.#options.file} has changed; pinned now: ${pinned.map(masterKeyId).join(', ')}`,
    );
    const { problem } = this;
    if (problem !== undefined) this.#options.log('error', problem);
  }

  #change(state: KeyRingState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#onChange(state);
  }
}

function parseKey(text: string): MasterKey {
  const result = parseMasterKey(text);
  if ('problem' in result) throw new Error(result.problem);
  return result.key;
}

/** The keys are left out when the text is still `known`. Throws an error that names the file and the line. */
async function readKeysFile(
  file: string,
  known?: string,
): Promise<{ text: string; keys?: readonly MasterKey[] }> {
  const text = await readBoundedFile(file, MAX_FILE_BYTES);
  if (text === undefined) throw new Error(`${file} does not exist`);
  if (text === known) return { text };
  const lines = text.split('\n').map((line, i) => ({ line: line.trim(), number: i + 1 }));
  const used = lines.filter(({ line }) => line !== '' && !line.startsWith('#'));
  if (used.length === 0) throw new Error(`${file} holds no key`);
  if (used.length > MAX_KEYS)
    throw new Error(`${file} holds ${used.length} keys, at most ${MAX_KEYS} can be pinned`);
  const keys = used.map(({ line, number }) => {
    try {
      return parseKey(line);
    } catch (error) {
      throw new Error(`${file}, line ${number}: ${(error as Error).message}`, { cause: error });
    }
  });
  return { text, keys };
}
