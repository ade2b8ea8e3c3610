import type { WavryRelayStatus } from '../api/status.ts';
import type { KubeClient } from '../kube/client.ts';
import { isStatus } from '../kube/kube-error.ts';
import type { KubeObject } from '../kube/object.ts';
import { type Resource, resourcePath, Resources } from '../kube/resource.ts';
import { CliError } from './cli-error.ts';

/** A WavryRelay as the API server has it: defaults are filled in, the status is missing until the operator wrote one. */
export interface FleetObject extends KubeObject {
  readonly spec: {
    readonly region?: string;
    readonly size?: string;
    readonly replicas?: number;
    readonly limits?: { readonly maxSessions?: number };
    readonly drain?: { readonly timeout?: string };
    readonly [field: string]: unknown;
  };
  readonly status?: WavryRelayStatus;
}

/** As client-go asks: so many at a time. */
const PAGE = 500;

export async function listFleets(
  client: KubeClient,
  namespace: string | undefined,
  labelSelector?: string,
): Promise<FleetObject[]> {
  try {
    return await listAll<FleetObject>(client, Resources.wavryRelays, namespace, { labelSelector });
  } catch (error) {
    throw isStatus(error, 404) ? noSuchKind() : error;
  }
}

/** Throws CliError where the cluster has no WavryRelays at all, KubeError where it hasn't this one. */
export async function getFleet(client: KubeClient, namespace: string, name: string): Promise<FleetObject> {
  try {
    return await client.get<FleetObject>(Resources.wavryRelays, namespace, name);
  } catch (error) {
    // A missing object has the reason NotFound with its name; a missing kind is a page that doesn't name anything.
    const ofKind = isStatus(error, 404) && !(error as Error).message.includes(`"${name}"`);
    throw ofKind ? noSuchKind() : error;
  }
}

export async function listAll<T extends KubeObject>(
  client: KubeClient,
  resource: Resource,
  namespace: string | undefined,
  query: Readonly<Record<string, string | undefined>> = {},
): Promise<T[]> {
  const items: T[] = [];
  let token: string | undefined;
  do {
    const list = await client.call<{ items: T[]; metadata?: { continue?: string } }>(
      'GET',
      resourcePath(resource, namespace),
      { query: { ...query, limit: PAGE, continue: token } },
    );
    // Items of a list carry neither: https://kubernetes.io/docs/reference/using-api/api-concepts/#collections
    const apiVersion = resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
    for (const item of list.items) items.push({ ...item, apiVersion, kind: resource.kind });
    token = list.metadata?.continue === '' ? undefined : list.metadata?.continue;
  } while (token !== undefined);
  return items;
}

function noSuchKind(): CliError {
  return new CliError(
    'the server doesn\'t have a resource type "wavryrelays": install the chart wavry-relay-operator in this cluster, or choose another with --context',
  );
}
