/**
 * How long a worker had no time to spare (docs/adr/0008): it was neither asleep nor verifying leases that could have
 * waited. Its CPU time alone would say little where CPU is short, as then it waits for a core and not for packets.
 */
export class BusyTime {
  #busyMs = 0;
  #sleptMs = 0;
  #sparedMs = 0;
  #nowMs: number;
  #cpuMs = 0;

  constructor(nowMs: number) {
    this.#nowMs = nowMs;
  }

  /** Waited for datagrams. May hold what the waking call itself worked. */
  slept(elapsedMs: number): void {
    this.#sleptMs += elapsedMs;
  }

  /** Did what gives way to forwarding. */
  spared(elapsedMs: number): void {
    this.#sparedMs += elapsedMs;
  }

  /** Of the time since the start, in milliseconds; to be asked now and then, with the thread's CPU time so far. */
  totalMs(nowMs: number, cpuMs: number): number {
    const wallMs = nowMs - this.#nowMs;
    const awakeMs = Math.max(cpuMs - this.#cpuMs, wallMs - this.#sleptMs);
    this.#busyMs += Math.min(wallMs, Math.max(0, awakeMs - this.#sparedMs));
    this.#nowMs = nowMs;
    this.#cpuMs = cpuMs;
    this.#sleptMs = 0;
    this.#sparedMs = 0;
    return this.#busyMs;
  }
}
