import type { KubeClient } from '../kube/client.ts';
import { resourcePath, Resources } from '../kube/resource.ts';
import { ApiError } from './api-error.ts';
import type { User } from './authenticate.ts';
import { ExpiringCache } from './expiring-cache.ts';
import { GROUP, type RequestInfo } from './request-info.ts';

/** As long, and about as many, as k8s.io/apiserver remembers (DelegatingAuthorizationOptions, plugin/pkg/authorizer/webhook). */
const ANSWER_TTL_MS = 10_000;
const MOST_ANSWERS = 8192;
const REVIEW_TIMEOUT_MS = 5000;
/** May do everything in any case, as in every delegated authorizer: the aggregator's own discovery comes as one of these. */
const PRIVILEGED = 'system:masters';

interface Verdict {
  readonly allowed: boolean;
  readonly reason: string;
}

/** Asks the API server whether a user may do what is asked, by SubjectAccessReview. */
export class Authorizer {
  readonly #client: KubeClient;
  readonly #verdicts: ExpiringCache<Verdict>;

  constructor(options: { readonly client: KubeClient; readonly wallMs: () => number }) {
    this.#client = options.client;
    this.#verdicts = new ExpiringCache({ most: MOST_ANSWERS, ttlMs: ANSWER_TTL_MS, nowMs: options.wallMs });
  }

  /** Rejects with ApiError: 403 for what the user may not do, 500 when that can't be found out. */
  async authorize(user: User, asked: RequestInfo): Promise<void> {
    if (user.groups.includes(PRIVILEGED)) return;
    const spec = reviewOf(user, asked);
    const verdict = await this.#verdicts.get(JSON.stringify(spec), () => this.#review(spec));
    if (!verdict.allowed) throw forbidden(user, asked, verdict.reason);
  }

  async #review(spec: unknown): Promise<Verdict> {
    try {
      const review = await this.#client.call<{ status?: { allowed?: boolean; reason?: string } }>(
        'POST',
        resourcePath(Resources.subjectAccessReviews),
        {
          body: { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec },
          signal: AbortSignal.timeout(REVIEW_TIMEOUT_MS),
        },
      );
      return { allowed: review.status?.allowed === true, reason: review.status?.reason ?? '' };
    } catch (error) {
      throw new ApiError(
        500,
        'InternalError',
        `whether you may do this can't be found out: ${(error as Error).message}`,
      );
    }
  }
}

function reviewOf(user: User, { verb, path, resource }: RequestInfo): unknown {
  return {
    user: user.name,
    ...(user.uid === '' ? {} : { uid: user.uid }),
    groups: user.groups,
    extra: user.extra,
    ...(resource
      ? {
          resourceAttributes: {
            verb,
            group: GROUP,
            version: resource.version,
            namespace: resource.namespace,
            resource: resource.resource,
            subresource: resource.subresource,
            name: resource.name,
          },
        }
      : { nonResourceAttributes: { verb, path } }),
  };
}

/** In the words of k8s.io/apiserver. */
function forbidden(user: User, { verb, path, resource }: RequestInfo, reason: string): ApiError {
  const why = reason === '' ? '' : `: ${reason}`;
  if (!resource) {
    return new ApiError(
      403,
      'Forbidden',
      `forbidden: User "${user.name}" cannot ${verb} path "${path}"${why}`,
    );
  }
  const what =
    resource.subresource === '' ? resource.resource : `${resource.resource}/${resource.subresource}`;
  const where =
    resource.namespace === '' ? 'at the cluster scope' : `in the namespace "${resource.namespace}"`;
  return new ApiError(
    403,
    'Forbidden',
    `${resource.resource}.${GROUP} "${resource.name}" is forbidden: User "${user.name}" cannot ${verb} resource "${what}" in API group "${GROUP}" ${where}${why}`,
  );
}
