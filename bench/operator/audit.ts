/** One request as the API server's audit log has it (audit.k8s.io/v1, level Metadata). */
export interface AuditedRequest {
  /** Unix milliseconds of its arrival. */
  readonly atMs: number;
  readonly user: string;
  readonly verb: string;
  /** `deployments`, `wavryrelays/status`; a path for what is no resource. */
  readonly resource: string;
  readonly name: string;
  /** HTTP status. */
  readonly code: number;
}

const WRITES = new Set(['create', 'update', 'patch', 'delete', 'deletecollection']);
/** Questions that are asked by POST; nothing is stored (https://kubernetes.io/docs/reference/access-authn-authz/). */
const QUESTIONS = /^(subjectaccessreviews|tokenreviews)$/;

/** One line of the log; undefined for one that is no answered request of its own. */
export function readAuditLine(line: string): AuditedRequest | undefined {
  let event: AuditEvent;
  try {
    event = JSON.parse(line) as AuditEvent;
  } catch {
    // The last line may be half written.
    return undefined;
  }
  // A watch has two lines: when it begins and, maybe much later, when it ends. Everything else has one.
  if ((event.verb === 'watch') !== (event.stage === 'ResponseStarted')) return undefined;
  const { objectRef, requestURI, verb, user, responseStatus, requestReceivedTimestamp } = event;
  return {
    atMs: Date.parse(requestReceivedTimestamp),
    user: user?.username ?? '',
    verb,
    resource: objectRef?.resource
      ? [objectRef.resource, ...(objectRef.subresource ? [objectRef.subresource] : [])].join('/')
      : requestURI.split('?')[0]!,
    name: objectRef?.name ?? '',
    code: responseStatus?.code ?? 0,
  };
}

export function isWrite(request: AuditedRequest): boolean {
  return WRITES.has(request.verb) && !QUESTIONS.test(request.resource);
}

/** How often each `verb resource` was asked, the most frequent first. */
export function countRequests(requests: Iterable<AuditedRequest>): [what: string, count: number][] {
  const counts = new Map<string, number>();
  for (const { verb, resource } of requests) {
    const what = `${verb} ${resource}`;
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  return [...counts].toSorted(([a, many], [b, few]) => few - many || (a < b ? -1 : 1));
}

interface AuditEvent {
  readonly stage: string;
  readonly verb: string;
  readonly requestURI: string;
  readonly requestReceivedTimestamp: string;
  readonly user?: { readonly username?: string };
  readonly objectRef?: { readonly resource?: string; readonly subresource?: string; readonly name?: string };
  readonly responseStatus?: { readonly code?: number };
}
