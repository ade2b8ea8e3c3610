import process from 'node:process';

/** The control plane's time, so that tests can pass hours in an instant. */
export interface Clock {
  /** Monotonic milliseconds: durations and deadlines. */
  nowMs(): number;
  /** Unix milliseconds: only for what other machines or a restart read. */
  wallMs(): number;
  /** Calls `call` once, `delayMs` from now; the function returned takes that back. */
  after(delayMs: number, call: () => void): () => void;
}

export const systemClock: Clock = {
  nowMs: () => Number(process.hrtime.bigint()) / 1e6,
  wallMs: () => Date.now(),
  after: (delayMs, call) => {
    const timer = setTimeout(call, delayMs);
    return () => clearTimeout(timer);
  },
};

/** Calls `call` every `intervalMs`, the first time after one interval; the function returned ends it. */
export function every(clock: Clock, intervalMs: number, call: () => void): () => void {
  let cancel = (): void => {};
  const arm = (): void => {
    cancel = clock.after(intervalMs, () => {
      arm();
      call();
    });
  };
  arm();
  return () => cancel();
}
