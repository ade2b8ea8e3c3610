import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';

import type { KubeClient } from '../kube/client.ts';
import { resourcePath, Resources } from '../kube/resource.ts';
import { ApiError } from './api-error.ts';
import { ExpiringCache } from './expiring-cache.ts';
import { isSignedBy, type Trust } from './trust.ts';

/** Who asks, as Kubernetes' user.Info. */
export interface User {
  readonly name: string;
  readonly uid: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

export interface AuthenticatorOptions {
  readonly client: KubeClient;
  /** Undefined until it is known. */
  readonly trust: () => Trust | undefined;
  readonly wallMs: () => number;
}

const AUTHENTICATED = 'system:authenticated';
/** As long as k8s.io/apiserver remembers an answer (DelegatingAuthenticationOptions.CacheTTL). */
const TOKEN_TTL_MS = 10_000;
const MOST_TOKENS = 1024;
/** A connection's certificate is looked at again after this time. */
const CERTIFICATE_TTL_MS = 60_000;
const REVIEW_TIMEOUT_MS = 5000;

/** What a connection's certificate proves. */
interface Proof {
  readonly trust: Trust;
  readonly untilMs: number;
  /** It may speak for users. */
  readonly speaker: boolean;
  readonly user: User | undefined;
}

/**
 * Finds out who asks, as an aggregated API server does: the API server speaks for its users by request headers, users come
 * with certificates or tokens of their own. See
 * https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/#authentication-flow
 */
export class Authenticator {
  readonly #options: AuthenticatorOptions;
  readonly #proofs = new WeakMap<TLSSocket, Proof>();
  readonly #tokens: ExpiringCache<User | undefined>;

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
    this.#tokens = new ExpiringCache({ most: MOST_TOKENS, ttlMs: TOKEN_TTL_MS, nowMs: options.wallMs });
  }

  /** Undefined for somebody who gives no proof that holds. Rejects with ApiError when that can't be found out. */
  async authenticate(request: IncomingMessage): Promise<User | undefined> {
    const trust = this.#options.trust();
    if (trust) {
      const proof = this.#proof(request.socket as TLSSocket, trust);
      const user = proof?.speaker ? spokenFor(request, trust) : undefined;
      if (user) return user;
      if (proof?.user) return proof.user;
    }
    const token = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (token === undefined) return undefined;
    // The key is a hash: a token isn't kept.
    const key = createHash('sha256').update(token).digest('base64');
    return this.#tokens.get(key, () => this.#review(token));
  }

  #proof(socket: TLSSocket, trust: Trust): Proof | undefined {
    const nowMs = this.#options.wallMs();
    const known = this.#proofs.get(socket);
    if (known && known.trust === trust && nowMs < known.untilMs) return known;
    const leaf = socket.getPeerX509Certificate?.();
    if (!leaf || !socket.authorized) return undefined;
    const { CN, O } = leaf.toLegacyObject().subject as { CN?: string | string[]; O?: string | string[] };
    const commonName = typeof CN === 'string' ? CN : undefined;
    const proof: Proof = {
      trust,
      untilMs: nowMs + CERTIFICATE_TTL_MS,
      speaker:
        isSignedBy(leaf, trust.requestHeaderCas, nowMs) &&
        (trust.allowedNames.length === 0 ||
          (commonName !== undefined && trust.allowedNames.includes(commonName))),
      user:
        commonName !== undefined && commonName !== '' && isSignedBy(leaf, trust.clientCas, nowMs)
          ? authenticated(commonName, '', O === undefined ? [] : [O].flat(), {})
          : undefined,
    };
    this.#proofs.set(socket, proof);
    return proof;
  }

  async #review(token: string): Promise<User | undefined> {
    const { client } = this.#options;
    let review: { status?: TokenReviewStatus };
    try {
      review = await client.call('POST', resourcePath(Resources.tokenReviews), {
        body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } },
        signal: AbortSignal.timeout(REVIEW_TIMEOUT_MS),
      });
    } catch (error) {
      throw new ApiError(500, 'InternalError', `the token can't be reviewed: ${(error as Error).message}`);
    }
    const user = review.status?.authenticated === true ? review.status.user : undefined;
    if (!user?.username) return undefined;
    return authenticated(user.username, user.uid ?? '', user.groups ?? [], user.extra ?? {});
  }
}

interface TokenReviewStatus {
  readonly authenticated?: boolean;
  readonly user?: {
    readonly username?: string;
    readonly uid?: string;
    readonly groups?: readonly string[];
    readonly extra?: Readonly<Record<string, readonly string[]>>;
  };
}

/** As k8s.io/apiserver/pkg/authentication/request/headerrequest: undefined when no user is named. */
function spokenFor(request: IncomingMessage, trust: Trust): User | undefined {
  const headers = request.headersDistinct;
  const all = (name: string): string[] => (headers[name] ?? []).filter((value) => value !== '').map(utf8);
  const first = (names: readonly string[]): string => names.flatMap(all)[0] ?? '';
  const name = first(trust.usernameHeaders);
  if (name === '') return undefined;
  const extra: Record<string, string[]> = {};
  for (const prefix of trust.extraHeaderPrefixes) {
    for (const [header, values] of Object.entries(headers)) {
      if (!header.startsWith(prefix)) continue;
      const key = decodedKey(header.slice(prefix.length));
      if (key !== '') extra[key] = [...(extra[key] ?? []), ...(values ?? []).map(utf8)];
    }
  }
  return authenticated(name, first(trust.uidHeaders), trust.groupHeaders.flatMap(all), extra);
}

/** Everybody who is known by a proof is in this group, but for those whom the API server let in without any. */
function authenticated(name: string, uid: string, groups: readonly string[], extra: User['extra']): User {
  const anonymous = name === 'system:anonymous' || groups.includes('system:unauthenticated');
  return {
    name,
    uid,
    groups: anonymous || groups.includes(AUTHENTICATED) ? groups : [...groups, AUTHENTICATED],
    extra,
  };
}

/** Node reads header values as Latin-1; Go writes them as UTF-8. */
function utf8(value: string): string {
  return Buffer.from(value, 'latin1').toString('utf8');
}

function decodedKey(key: string): string {
  try {
    return decodeURIComponent(key);
  } catch {
    return key;
  }
}
