import type { WavryRelayStatus } from '../api/status.ts';
import type { KubeObject } from '../kube/object.ts';

/**
 * Which fleets take up the rollouts that may go on at a time. What this process decided counts; of a fleet that it hasn't
 * looked at yet its status does, as the leader before left it: else each new leader would leave another fleet half way.
 */
export class RolloutSlots {
  readonly #limit: number;
  /** Whether a fleet rolls out. */
  readonly #decided = new Map<string, boolean>();
  #inherited = false;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether a fleet may roll out. One that does already goes on, however many others do. */
  mayRollOut(key: string, fleets: { list(): readonly KubeObject[] }): boolean {
    if (!this.#inherited) this.#inherit(fleets.list());
    if (this.#decided.get(key)) return true;
    let taken = 0;
    for (const rollsOut of this.#decided.values()) if (rollsOut) taken += 1;
    return taken < this.#limit;
  }

  decided(key: string, status: WavryRelayStatus): void {
    this.#decided.set(key, saysRollingOut(status));
  }

  /** The fleet is gone, or going. */
  forget(key: string): void {
    this.#decided.delete(key);
  }

  #inherit(fleets: readonly KubeObject[]): void {
    this.#inherited = true;
    for (const { metadata, status } of fleets) {
      const key = `${metadata.namespace}/${metadata.name}`;
      if (metadata.deletionTimestamp !== undefined || this.#decided.has(key)) continue;
      if (saysRollingOut(status as WavryRelayStatus)) this.#decided.set(key, true);
    }
  }
}

function saysRollingOut(status: WavryRelayStatus | undefined): boolean {
  return status?.conditions?.find(({ type }) => type === 'Progressing')?.reason === 'RollingOut';
}
