import type { Datapath } from '../../../relay/datapath/datapath.ts';
import type { SocketAddress } from '../../../relay/config/config.ts';
import type { KeyRingState } from '../../../relay/lease/key-ring.ts';
import { COUNTER_CELLS, Counter } from '../../../relay/pipeline/counters.ts';

/** A datapath without packets: what the control plane tells it is kept, what it answers is set by the test. */
export class FakeDatapath implements Datapath {
  readonly kind = 'dgram';
  readonly workers = 1;
  readonly description = 'a fake';
  address: SocketAddress = { host: '127.0.0.1', port: 4000, family: 4 };
  held = 0;
  active = 0;
  busy = 0;
  bytesForwarded = 0;
  stalled: number[] = [];
  stunAnswer = '203.0.113.9:61000';
  readonly dirty: { slot: number; record: Uint8Array | undefined }[] = [];

  keys: KeyRingState | undefined;
  shedding = false;
  draining: { startedMs: number; startedWallMs: number } | undefined;
  ownEndpoints: readonly string[] = [];
  readonly asked: string[] = [];
  die: (reason: string) => void = () => {};

  totals(): Float64Array {
    const totals = new Float64Array(COUNTER_CELLS);
    totals[Counter.bytes_forwarded] = this.bytesForwarded;
    return totals;
  }
  heldSessions(): number {
    return this.held;
  }
  activeSessions(): number {
    return this.active;
  }
  busyRatios(): Float64Array {
    return Float64Array.of(this.busy);
  }
  socketBufferBytes(): number {
    return 1 << 20;
  }
  kernelDrops(): number {
    return 0;
  }
  setKeys(keys: KeyRingState): void {
    this.keys = keys;
  }
  setShedding(on: boolean): void {
    this.shedding = on;
  }
  setDraining(startedMs: number | undefined, startedWallMs: number): void {
    this.draining = startedMs === undefined ? undefined : { startedMs, startedWallMs };
  }
  setOwnEndpoints(addresses: readonly string[]): void {
    this.ownEndpoints = addresses;
  }
  takeDirty(visit: (worker: number, slot: number, record: Uint8Array | undefined) => void): number {
    const changes = this.dirty.splice(0);
    for (const { slot, record } of changes) visit(0, slot, record);
    return changes.length;
  }
  async askStun(server: string): Promise<string> {
    this.asked.push(server);
    return this.stunAnswer;
  }
  stalledWorkers(): number[] {
    return this.stalled;
  }
  onFatal(listener: (reason: string) => void): void {
    this.die = listener;
  }
  async stop(): Promise<void> {}
}
