import { isNamespaceTerminating, KubeError } from '../kube/kube-error.ts';
import type { Failure } from '../plan/world.ts';

/** A refused write in words for the person who can mend it. */
export function explainFailure(what: string, error: unknown): Failure {
  const text = error instanceof Error ? error.message : String(error);
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
