import { isNamespaceTerminating, KubeError } from '../kube/kube-error.ts';
import type { Failure } from '../plan/world.ts';

/** A refused write in words for the person who can mend it. */
export function explainFailure(what: string, error: unknown): Failure {
  const text = steady(error instanceof Error ? error.message : String(error));
  if (!(error instanceof KubeError)) {
    // Only calls to Master come without the API server's words.
    return {
      reason: 'MasterUnreachable',
      message: `Master isn't told which relays drain, and may hand them out until it hears of their full load: ${text}`,
    };
  }
  if (isNamespaceTerminating(error)) {
    return {
      reason: 'NamespaceTerminating',
      message: 'the namespace is being deleted, and everything in it: nothing more is made here',
    };
  }
  if (error.status === 403 && text.includes('exceeded quota')) {
    return {
      reason: 'QuotaExceeded',
      message: `${what}: ${text}; raise the ResourceQuota of the namespace, or ask for fewer relays`,
    };
  }
  if (error.status === 403 && /cannot \w+ resource/.test(text)) {
    return {
      reason: 'Forbidden',
      message: `${what}: ${text}; the roles of the chart wavry-relay-operator grant this, for every namespace in its value "namespaces"`,
    };
  }
  if (error.status === 400 || error.status === 422) {
    return {
      reason: 'Rejected',
      message: `${what}: the API server refuses it: ${text}; correct the field of the spec that it comes from`,
    };
  }
  return { reason: 'ApplyFailed', message: `${what}: ${text}` };
}

/** What differs at each try: the near end of a connection as Go tells it, times, ids of requests. */
const PASSING =
  /(?<=\d|\]):\d+(?=->)|\b\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)|\b[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}\b/gi;

/** The same words for the same failure: others would be written to the status, and told as news, at each try. */
function steady(text: string): string {
  return text.replace(PASSING, (passing) => (passing.startsWith(':') ? '' : '…'));
}
