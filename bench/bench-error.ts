/** What keeps a benchmark from running, worded for whoever started it. */
export class BenchError extends Error {
  readonly exitCode: number;
  constructor(message: string, exitCode = 1) {
    super(message);
    this.name = 'BenchError';
    this.exitCode = exitCode;
  }
}
