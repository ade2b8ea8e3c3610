import { fieldsMissingIn, type FieldSchema } from '../api/crd-fields.ts';
import { GROUP, KIND, PLURAL, VERSION } from '../api/meta.ts';
import type { KubeClient } from '../kube/client.ts';
import { isStatus } from '../kube/kube-error.ts';

/** More of them help nobody. */
const MOST_NAMED = 4;
const UPGRADE = `upgrade the operator's chart with crd.install=true, or apply crds/${PLURAL}.${GROUP}.yaml of this release`;

/**
 * What stands against working with the CRD that the API server has, and what to do; undefined when nothing does. Asked by way
 * of the published OpenAPI document, which everybody may read: the CRD itself would take a right of its own.
 */
export async function crdProblem(client: KubeClient): Promise<string | undefined> {
  const name = `CustomResourceDefinition ${PLURAL}.${GROUP}`;
  let document: OpenApi;
  try {
    document = await client.call('GET', `/openapi/v3/apis/${GROUP}/${VERSION}`);
  } catch (error) {
    if (isStatus(error, 404)) return `this cluster has no ${name}: ${UPGRADE}`;
    throw error;
  }
  const served = Object.values(document.components?.schemas ?? {}).find((schema) =>
    schema['x-kubernetes-group-version-kind']?.some(({ kind }) => kind === KIND),
  );
  // The API server publishes a CRD some moments after it has it.
  if (!served) return `this cluster tells nothing of ${name} yet`;
  const missing = fieldsMissingIn(served);
  if (missing.length === 0) return undefined;
  const named = missing.slice(0, MOST_NAMED).join(', ');
  const more = missing.length > MOST_NAMED ? ` and ${missing.length - MOST_NAMED} more` : '';
  return `${name} of this cluster is older than this operator and doesn't know ${named}${more}: until it is upgraded they have no effect; ${UPGRADE}`;
}

interface OpenApi {
  readonly components?: {
    readonly schemas?: Readonly<
      Record<
        string,
        FieldSchema & { readonly 'x-kubernetes-group-version-kind'?: readonly { readonly kind: string }[] }
      >
    >;
  };
}
