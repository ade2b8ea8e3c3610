import { ApiError } from './api-error.ts';

export const GROUP = 'custom.metrics.k8s.io';

/** The newest first: what clients prefer. */
export const VERSIONS = ['v1beta2', 'v1beta1'] as const;
export type Version = (typeof VERSIONS)[number];

/** What a path asks for, as the API server's own RequestInfo has it: the authorizer must judge the same. */
export interface RequestInfo {
  readonly path: string;
  readonly verb: string;
  /** Undefined for discovery and for paths outside of the group. */
  readonly resource: ResourceInfo | undefined;
}

export interface ResourceInfo {
  readonly version: string;
  readonly namespace: string;
  /** `wavryrelays.wavry.dev`, `pods` … */
  readonly resource: string;
  readonly name: string;
  /** Here: the name of a metric. */
  readonly subresource: string;
}

/** Throws ApiError 400 for a path that isn't one. */
export function readRequest(method: string, path: string): RequestInfo {
  const parts = path
    .split('/')
    .filter((part) => part !== '')
    .map(decoded);
  const [apis, group, version, ...rest] = parts;
  if (apis !== 'apis' || group !== GROUP || version === undefined || rest.length === 0) {
    return { path, verb: method.toLowerCase(), resource: undefined };
  }
  const inside = rest[0] === 'namespaces' && rest.length > 2;
  const [resource = '', name = '', ...further] = inside ? rest.slice(2) : rest;
  return {
    path,
    verb: verbOf(method, name),
    resource: {
      version,
      namespace: inside ? rest[1]! : '',
      resource,
      name,
      subresource: further.join('/'),
    },
  };
}

/** https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb */
function verbOf(method: string, name: string): string {
  switch (method) {
    case 'GET':
    case 'HEAD':
      return name === '' ? 'list' : 'get';
    case 'POST':
      return 'create';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return name === '' ? 'deletecollection' : 'delete';
    default:
      return method.toLowerCase();
  }
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new ApiError(400, 'BadRequest', 'the path is not properly percent-encoded');
  }
}
