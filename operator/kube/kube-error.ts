/** An answer of the API server that is no success: its Status, as far as it sent one. */
export class KubeError extends Error {
  override readonly name = 'KubeError';
  /** HTTP status; 0 when there was no answer at all. */
  readonly status: number;
  /** `reason` of the Status object: NotFound, Conflict, Invalid … */
  readonly reason: string;
  /** What the server asked to wait (429 and 503 with Retry-After). */
  readonly retryAfterMs: number | undefined;

  constructor(status: number, reason: string, message: string, retryAfterMs?: number) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}

export function isStatus(error: unknown, status: number): boolean {
  return error instanceof KubeError && error.status === status;
}
