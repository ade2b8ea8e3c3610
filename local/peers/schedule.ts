/**
 * When which of `flows` equal senders sends: turn by turn, `perSecond` packets a second each in trains of `train`, the
 * flows evenly spread over the time between two trains of one flow. Times are milliseconds of one monotonic clock.
 */
export class Schedule {
  readonly #flows: number;
  readonly #intervalMs: number;
  readonly #catchUpMs: number;
  #startMs: number;
  #next = 0;
  #skipped = 0;

  /** A sender that is late catches up by at most `catchUpMs`; what lies further back is skipped and counted. */
  constructor(flows: number, perSecond: number, train: number, startMs: number, catchUpMs = 25) {
    this.#flows = flows;
    this.#intervalMs =
      flows > 0 && perSecond > 0 ? (1000 * train) / (perSecond * flows) : Number.POSITIVE_INFINITY;
    this.#catchUpMs = catchUpMs;
    this.#startMs = startMs;
  }

  /** The flow whose train is due, or -1. Call until -1. */
  due(nowMs: number): number {
    if (this.#intervalMs === Number.POSITIVE_INFINITY) return -1;
    const lateMs = nowMs - this.#startMs - this.#next * this.#intervalMs;
    if (lateMs < 0) return -1;
    if (lateMs > this.#catchUpMs) {
      // The skipped turns are taken off the clock, not off the flows, so that nobody's turn is lost for good.
      const turns = Math.floor((lateMs - this.#catchUpMs) / this.#intervalMs);
      this.#skipped += turns;
      this.#startMs += turns * this.#intervalMs;
    }
    return this.#next++ % this.#flows;
  }

  /** Trains that could not be sent in time. */
  get skipped(): number {
    return this.#skipped;
  }
}
