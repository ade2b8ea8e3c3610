/** An answer of the API server that is no success: its Status, as far as it sent one. */
export class KubeError extends Error {
  override readonly name = 'KubeError';
  /** HTTP status; 0 when there was no answer at all. */
  readonly status: number;
  /** `reason` of the Status object: NotFound, Conflict, Invalid … */
  readonly reason: string;
  /** What the server asked to wait (429 and 503 with Retry-After). */
  readonly retryAfterMs: number | undefined;

  /** `details.causes[].reason`, such as NamespaceTerminating. */
  readonly causes: readonly string[];

  constructor(
    status: number,
    reason: string,
    message: string,
    retryAfterMs?: number,
    causes: readonly string[] = [],
  ) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
    this.causes = causes;
  }
}

/** https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/: nothing can be made in it any more. */
export function isNamespaceTerminating(error: unknown): boolean {
  return error instanceof KubeError && error.causes.includes('NamespaceTerminating');
}

export function isStatus(error: unknown, status: number): boolean {
  return error instanceof KubeError && error.status === status;
}
