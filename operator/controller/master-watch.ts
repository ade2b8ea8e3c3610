import type { WavryRelaySpec } from '../api/spec.ts';
import type { MasterEntry } from '../plan/world.ts';
import { ageMs } from './age.ts';
import { readRegistry } from '../master/admin-client.ts';

/** How often a Master's registry is read, and how old it may be before it counts as unknown. */
const EVERY_MS = 15_000;
const STALE_MS = 60_000;
/** One that let a call wait in vain is told nothing for so long: fleets would wait for it one after the other. */
const SILENT_MS = 30_000;

interface Known {
  readonly entries: ReadonlyMap<string, MasterEntry>;
  readonly atMs: number;
}

/** The registries of the Masters that fleets belong to, read now and then; unknown when it can't be read. */
export class MasterWatch {
  readonly #known = new Map<string, Known>();
  readonly #askedMs = new Map<string, number>();
  readonly #silent = new Map<string, { readonly error: Error; readonly atMs: number }>();
  /** Fleets that name each Master. */
  readonly #fleets = new Map<string, string>();
  readonly #wallMs: () => number;
  readonly #onChange: (fleetKey: string) => void;

  constructor(options: { readonly wallMs: () => number; readonly onChange: (fleetKey: string) => void }) {
    this.#wallMs = options.wallMs;
    this.#onChange = options.onChange;
  }

  registry(spec: WavryRelaySpec): ReadonlyMap<string, MasterEntry> | undefined {
    const known = this.#known.get(spec.master.url);
    return known && ageMs(known.atMs, this.#wallMs()) <= STALE_MS ? known.entries : undefined;
  }

  /** Reads the registry in the background when it is due; a failure leaves what is known, with its age. */
  refresh(fleetKey: string, spec: WavryRelaySpec, adminToken: string | undefined): void {
    const { url } = spec.master;
    const nowMs = this.#wallMs();
    if (this.#fleets.get(fleetKey) !== url) {
      this.forget(fleetKey);
      this.#fleets.set(fleetKey, url);
    }
    if (ageMs(this.#askedMs.get(url) ?? -Infinity, nowMs) < EVERY_MS) return;
    this.#askedMs.set(url, nowMs);
    readRegistry(url, adminToken, nowMs)
      .then((entries) => {
        if (!this.#askedMs.has(url)) return;
        const before = this.#known.get(url);
        this.#known.set(url, { entries, atMs: this.#wallMs() });
        this.#silent.delete(url);
        if (before && states(before.entries) === states(entries)) return;
        for (const [fleet, master] of this.#fleets) if (master === url) this.#onChange(fleet);
      })
      .catch(() => undefined);
  }

  fellSilent(spec: WavryRelaySpec, error: Error): void {
    this.#silent.set(spec.master.url, { error, atMs: this.#wallMs() });
  }

  /** How a Master fell silent just now; undefined when it may be told something. */
  silence(spec: WavryRelaySpec): Error | undefined {
    const silent = this.#silent.get(spec.master.url);
    return silent && ageMs(silent.atMs, this.#wallMs()) < SILENT_MS ? silent.error : undefined;
  }

  /** What Master was just told counts at once, so that it isn't told twice. */
  told(spec: WavryRelaySpec, relayId: string, state: string): void {
    const known = this.#known.get(spec.master.url);
    const entry = known?.entries.get(relayId);
    if (known && entry) {
      this.#known.set(spec.master.url, {
        atMs: known.atMs,
        entries: new Map(known.entries).set(relayId, { ...entry, state }),
      });
    }
  }

  /** A fleet is gone, and with the last one its Master. */
  forget(fleetKey: string): void {
    const url = this.#fleets.get(fleetKey);
    this.#fleets.delete(fleetKey);
    if (url === undefined || [...this.#fleets.values()].includes(url)) return;
    this.#askedMs.delete(url);
    this.#known.delete(url);
    this.#silent.delete(url);
  }
}

function states(entries: ReadonlyMap<string, MasterEntry>): string {
  return [...entries.values()]
    .map((entry) => `${entry.relayId} ${entry.state}`)
    .toSorted()
    .join('\n');
}
