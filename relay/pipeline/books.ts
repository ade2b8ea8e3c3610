import { Counter } from './counters.ts';

/** The counters of one pipeline, and the reason of the latest drop. */
export class Books {
  readonly cells: Float64Array;
  /** The primary reason (an index of Counter) of the last drop since it was set to -1. */
  dropReason = -1;

  constructor(cells: Float64Array) {
    this.cells = cells;
  }

  count(counter: number): void {
    this.cells[counter] = this.cells[counter]! + 1;
  }

  add(counter: number, amount: number): void {
    this.cells[counter] = this.cells[counter]! + amount;
  }

  /** `reason` is one of PRIMARY_DROP_REASONS. */
  drop(reason: number): void {
    this.count(Counter.dropped_packets);
    this.count(reason);
    this.dropReason = reason;
  }
}
