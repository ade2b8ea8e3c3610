import type { WavryRelayStatus } from '../api/status.ts';
import type { KubeObject } from '../kube/object.ts';

/**
 * Which fleets take up the rollouts that may go on at a time. What this process decided counts; of a fleet that it hasn't
 * looked at yet its status does, as the leader before left it: else each new leader would leave another fleet half way.
 */
export class RolloutSlots {
  readonly #limit: number;
  /** Whether a fleet rolls out, of those that were looked at. */
  readonly #decided = new Map<string, boolean>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether a fleet may roll out. One that does already goes on, however many others do. */
  mayRollOut(key: string, fleets: readonly KubeObject[]): boolean {
    const taken = new Set([...this.#decided].filter(([, rollsOut]) => rollsOut).map(([fleet]) => fleet));
    for (const { metadata, status } of fleets) {
      if (metadata.deletionTimestamp !== undefined || !saysRollingOut(status as WavryRelayStatus)) continue;
      const fleet = `${metadata.namespace}/${metadata.name}`;
      if (!this.#decided.has(fleet)) taken.add(fleet);
    }
    return taken.has(key) || taken.size < this.#limit;
  }

  decided(key: string, status: WavryRelayStatus): void {
    this.#decided.set(key, saysRollingOut(status));
  }

  /** The fleet is gone, or going. */
  forget(key: string): void {
    this.#decided.delete(key);
  }
}

function saysRollingOut(status: WavryRelayStatus | undefined): boolean {
  return status?.conditions?.find(({ type }) => type === 'Progressing')?.reason === 'RollingOut';
}
