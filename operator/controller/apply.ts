import type { KubeClient } from '../kube/client.ts';
import { isApplied } from '../kube/difference.ts';
import { isStatus } from '../kube/kube-error.ts';
import type { KubeObject } from '../kube/object.ts';
import { type Resource, Resources } from '../kube/resource.ts';
import type { MasterCall, MetadataPatch, ObservedObject, Plan } from '../plan/world.ts';
import type { AppliedObject } from '../specs/object.ts';
import { isControlledBy, ownerText } from './cluster-view.ts';

const BY_KIND: ReadonlyMap<string, Resource> = new Map(
  Object.values(Resources).map((resource): [string, Resource] => [resource.kind, resource]),
);

export interface ApplyOptions {
  readonly client: KubeClient;
  readonly fieldManager: string;
  /** The object as the stores have it. */
  readonly find: (kind: string, namespace: string, name: string) => KubeObject | undefined;
  readonly tellMaster: (call: MasterCall) => Promise<void>;
  /** False once this process is no longer the leader: nothing is written any more. */
  readonly mayWrite: () => boolean;
}

export interface ApplyResult {
  /** What failed, by `kind/name`, in words for the status. */
  readonly failures: ReadonlyMap<string, string>;
  /** Objects with our names that somebody else owns. */
  readonly foreign: ReadonlyMap<string, ObservedObject>;
  /** An error to back off for; undefined when everything that could be done was done. */
  readonly error: unknown;
  readonly writes: number;
}

/**
 * Carries a plan out, in its order. One refused object doesn't keep the others from being written; what failed is
 * said, and tried again with a back-off.
 */
export async function applyPlan(
  plan: Plan,
  fleet: { readonly namespace: string; readonly uid: string },
  options: ApplyOptions,
): Promise<ApplyResult> {
  const failures = new Map<string, string>();
  const foreign = new Map<string, ObservedObject>();
  let error: unknown;
  let writes = 0;

  const attempt = async (key: string, action: () => Promise<unknown>): Promise<boolean> => {
    if (!options.mayWrite()) return false;
    try {
      await action();
      writes += 1;
      return true;
    } catch (caught) {
      // Somebody was faster, or it is gone: the next look at the world tells.
      if (!isStatus(caught, 404) && !isStatus(caught, 409)) {
        failures.set(key, `${key}: ${caught instanceof Error ? caught.message : String(caught)}`);
      }
      error ??= caught;
      return false;
    }
  };

  for (const object of [...plan.apply, ...plan.create]) {
    const key = `${object.kind}/${object.metadata.name}`;
    const live = options.find(object.kind, fleet.namespace, object.metadata.name);
    if (live && (plan.create.includes(object) || isApplied(object, live))) continue;
    await attempt(key, async () => {
      const owner = live ? undefined : await foreignOwner(object, fleet, options.client);
      if (owner) foreign.set(key, owner);
      else await applyObject(object, options);
    });
  }
  for (const { name, uid, spec } of plan.restore) {
    await attempt(`Deployment/${name}`, () =>
      options.client.patch(
        Resources.deployments,
        fleet.namespace,
        name,
        [
          { op: 'test', path: '/metadata/uid', value: uid },
          { op: 'replace', path: '/spec', value: spec },
        ],
        { fieldManager: options.fieldManager, json: true },
      ),
    );
  }
  for (const patch of plan.relayPatches) {
    await attempt(`Deployment/${patch.name}`, () =>
      patchMetadata(Resources.deployments, fleet.namespace, patch, options),
    );
  }
  for (const call of plan.master) {
    // Master's outage never keeps a relay from draining: load 100 and the reject tell the same later.
    await attempt(`Master/${call.relayId}`, () => options.tellMaster(call));
  }
  for (const patch of plan.podPatches) {
    await attempt(`Pod/${patch.name}`, () => patchMetadata(Resources.pods, fleet.namespace, patch, options));
  }
  for (const deletion of plan.deletions) {
    await attempt(`${deletion.kind}/${deletion.name}`, () =>
      options.client.delete(BY_KIND.get(deletion.kind)!, fleet.namespace, deletion.name, {
        uid: deletion.uid,
      }),
    );
  }
  return { failures, foreign, error, writes };
}

function applyObject(object: AppliedObject, options: ApplyOptions): Promise<unknown> {
  const { name, namespace } = object.metadata;
  return options.client.apply(resourceOf(object), namespace, name, object, options.fieldManager);
}

/** Whether an object that the stores don't have, as it lacks our labels, is there all the same, and whose it is. */
async function foreignOwner(
  object: AppliedObject,
  fleet: { readonly uid: string },
  client: KubeClient,
): Promise<ObservedObject | undefined> {
  try {
    const { namespace, name } = object.metadata;
    const live = await client.get<KubeObject>(resourceOf(object), namespace, name);
    return isControlledBy(live, fleet.uid) ? undefined : { ours: false, ownerText: ownerText(live) };
  } catch (error) {
    if (isStatus(error, 404)) return undefined;
    throw error;
  }
}

/** A merge patch that changes nothing when the name belongs to another object by now. */
function patchMetadata(
  resource: Resource,
  namespace: string,
  patch: MetadataPatch,
  options: ApplyOptions,
): Promise<unknown> {
  const metadata = { uid: patch.uid, labels: patch.labels, annotations: patch.annotations };
  return options.client.patch(
    resource,
    namespace,
    patch.name,
    { metadata },
    { fieldManager: options.fieldManager },
  );
}

function resourceOf(object: AppliedObject): Resource {
  const resource = BY_KIND.get(object.kind);
  if (!resource) throw new Error(`no resource is known for kind ${object.kind}`);
  return resource;
}
