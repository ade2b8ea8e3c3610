import { lookup } from 'node:dns/promises';

/** Load balancers' host names change their address now and then. */
const AGAIN_MS = 60_000;
/** One that doesn't resolve yet is asked for again sooner. */
const AGAIN_FAILED_MS = 5000;
/** Names that nobody asked for in this time are forgotten. */
const FORGET_MS = 600_000;

interface Known {
  addresses: readonly string[];
  /** When it is to be asked again. */
  dueMs: number;
  usedMs: number;
}

export interface ResolverOptions {
  readonly wallMs: () => number;
  readonly onChange: (key: string) => void;
  /** Numeric addresses of a host name; rejects when there are none. */
  readonly resolve?: (name: string) => Promise<readonly string[]>;
}

/**
 * Addresses of host names, asked for in the background: a name server that hangs keeps nobody waiting. Sorted, as name
 * servers rotate their answers; and kept when a name stops resolving, as that must not take a working address away.
 */
export class Resolver {
  readonly #options: ResolverOptions;
  readonly #known = new Map<string, Known>();

  constructor(options: ResolverOptions) {
    this.#options = options;
  }

  /** What is known now; `key` is told when that changes. Empty: not known yet. */
  addresses(name: string, key: string): readonly string[] {
    const nowMs = this.#options.wallMs();
    const known: Known = this.#known.get(name) ?? { addresses: [], dueMs: 0, usedMs: nowMs };
    known.usedMs = nowMs;
    this.#known.set(name, known);
    // The latter after the clock was set back.
    if (nowMs >= known.dueMs || known.dueMs > nowMs + AGAIN_MS) {
      known.dueMs = nowMs + AGAIN_MS;
      this.#ask(name, known, key);
      this.#forget(nowMs);
    }
    return known.addresses;
  }

  /** When the earliest of these names is to be asked again. */
  dueMs(names: readonly string[]): number | undefined {
    const dues = names.flatMap((name) => this.#known.get(name)?.dueMs ?? []);
    return dues.length === 0 ? undefined : Math.min(...dues);
  }

  #ask(name: string, known: Known, key: string): void {
    const { resolve = systemLookup, wallMs, onChange } = this.#options;
    resolve(name)
      .then((found) => {
        const addresses = [...new Set(found)].toSorted();
        const changed = addresses.join() !== known.addresses.join();
        known.addresses = addresses;
        if (changed) onChange(key);
      })
      .catch(() => {
        if (known.addresses.length > 0) return;
        known.dueMs = wallMs() + AGAIN_FAILED_MS;
        onChange(key);
      });
  }

  #forget(nowMs: number): void {
    for (const [name, known] of this.#known) if (nowMs - known.usedMs > FORGET_MS) this.#known.delete(name);
  }
}

async function systemLookup(name: string): Promise<string[]> {
  return (await lookup(name, { all: true })).map((entry) => entry.address);
}
