import { fieldsMissingIn, type FieldSchema, onlyKnown } from '../api/crd-fields.ts';
import { GROUP, KIND, PLURAL, VERSION } from '../api/meta.ts';
import type { WavryRelayStatus } from '../api/status.ts';
import type { KubeClient } from '../kube/client.ts';
import { isStatus, KubeError } from '../kube/kube-error.ts';

/** More of them help nobody. */
const MOST_NAMED = 4;
const ANSWER_MS = 10_000;
/** An older CRD may be upgraded; and the API server publishes one some moments after it has it. */
const AGAIN_MS = 20_000;
const NAME = `CustomResourceDefinition ${PLURAL}.${GROUP}`;
const UPGRADE = `upgrade the operator's chart with crd.install=true, or apply crds/${PLURAL}.${GROUP}.yaml of this release`;

export interface ServedCrdOptions {
  readonly client: KubeClient;
  readonly after: (ms: number, run: () => void) => () => void;
  /** One line for whoever runs the operator, once for each state of things. */
  readonly onProblem: (message: string) => void;
  readonly onMended: (message: string) => void;
}

/**
 * What the API server's CRD knows of the fields that this operator works with. A status with one field more is refused as a
 * whole by server-side apply ("field not declared in schema"), so that an operator beside an older CRD would tell nothing.
 */
export class ServedCrd {
  readonly #options: ServedCrdOptions;
  #status: FieldSchema | undefined;
  #suspected: string | undefined;
  #told = false;
  #cancel: (() => void) | undefined;
  #stopped = false;

  constructor(options: ServedCrdOptions) {
    this.#options = options;
  }

  /** Looks at it, and again as long as it is older. Never rejects: what isn't known changes nothing. */
  async look(): Promise<void> {
    this.#cancel?.();
    const { client, after, onProblem, onMended } = this.#options;
    let served: FieldSchema | undefined;
    try {
      served = await readServed(client);
    } catch {
      served = undefined;
    }
    if (this.#stopped || !served) return;
    this.#status = served.properties?.['status'] ?? { properties: {} };
    const problem = problemOf(served);
    if (problem === undefined) {
      if (this.#told) onMended(`${NAME} knows by now all that this operator works with`);
      this.#told = false;
    } else {
      // Helm upgrades it beside the operator: what is seen once may be over.
      if (problem === this.#suspected && !this.#told) {
        onProblem(problem);
        this.#told = true;
      }
      this.#cancel = after(AGAIN_MS, () => void this.look());
    }
    this.#suspected = problem;
  }

  /** The part of a status that the CRD has. */
  trimmed(status: WavryRelayStatus): WavryRelayStatus {
    return this.#status ? onlyKnown(status, this.#status) : status;
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }
}

/** Whether a write was refused for a field that the CRD lacks: k8s.io/apimachinery/pkg/util/managedfields, typed conversion. */
export function isFieldUnknown(error: unknown): boolean {
  return error instanceof KubeError && error.message.includes('field not declared in schema');
}

/** What stands against working with the CRD that the API server has, and what to do; undefined when nothing does. */
export async function crdProblem(client: KubeClient): Promise<string | undefined> {
  let served: FieldSchema | undefined;
  try {
    served = await readServed(client);
  } catch (error) {
    if (isStatus(error, 404)) return `this cluster has no ${NAME}: ${UPGRADE}`;
    throw error;
  }
  return served ? problemOf(served) : `this cluster tells nothing of ${NAME} yet`;
}

function problemOf(served: FieldSchema): string | undefined {
  const missing = fieldsMissingIn(served);
  if (missing.length === 0) return undefined;
  const named = missing.slice(0, MOST_NAMED).join(', ');
  const more = missing.length > MOST_NAMED ? ` and ${missing.length - MOST_NAMED} more` : '';
  return `${NAME} of this cluster is older than this operator and doesn't know ${named}${more}: until it is upgraded they have no effect; ${UPGRADE}`;
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

/** By way of the published OpenAPI document, which everybody may read: the CRD itself would take a right of its own. */
async function readServed(client: KubeClient): Promise<FieldSchema | undefined> {
  const document = await client.call<OpenApi>('GET', `/openapi/v3/apis/${GROUP}/${VERSION}`, {
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  return Object.values(document.components?.schemas ?? {}).find((schema) =>
    schema['x-kubernetes-group-version-kind']?.some(({ kind }) => kind === KIND),
  );
}
