/** A datapath that can't start; the text is for the operator. */
export class DatapathError extends Error {
  readonly exitCode: number;
  constructor(message: string, exitCode = 1) {
    super(message);
    this.name = 'DatapathError';
    this.exitCode = exitCode;
  }
}
