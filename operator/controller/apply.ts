import type { KubeClient } from '../kube/client.ts';
import { isApplied, ownsMore } from '../kube/difference.ts';
import { isStatus, KubeError } from '../kube/kube-error.ts';
import type { KubeObject } from '../kube/object.ts';
import { type Resource, resourceOfKind, Resources } from '../kube/resource.ts';
import type {
  Deletion,
  Failure,
  MasterCall,
  MetadataPatch,
  ObservedObject,
  Plan,
  Restoration,
} from '../plan/world.ts';
import type { AppliedObject } from '../specs/object.ts';
import { isControlledBy, isEarlier, ownerText } from './ownership.ts';
import { explainFailure } from './failure.ts';

/** Relays made at the same time: a fleet of a thousand must not take minutes, nor fill the API server's queue. */
const CREATIONS_AT_ONCE = 8;
const MASTER_CALLS_AT_ONCE = 16;
/** For all the calls of a plan together: the drains behind them, and the other fleets, wait no longer for a silent Master. */
const MASTER_MS = 5000;

/** The stores, as far as carrying out a plan needs them. */
export interface ApplyStores {
  find(kind: string, namespace: string, name: string): KubeObject | undefined;
  written(object: KubeObject): void;
  removed(
    kind: string,
    object: { readonly metadata: Pick<KubeObject['metadata'], 'name' | 'namespace' | 'uid'> },
  ): void;
}

export interface ApplyOptions {
  readonly client: KubeClient;
  readonly fieldManager: string;
  readonly stores: ApplyStores;
  /** `signal` ends it: the time for all calls is over. */
  readonly tellMaster: (call: MasterCall, signal: AbortSignal) => Promise<void>;
  /** Generation that each Deployment had after it was last put back, by UID. */
  readonly restored: Map<string, number>;
}

export interface ApplyResult {
  /** What failed, by `kind/name`. */
  readonly failures: ReadonlyMap<string, Failure>;
  /** Objects with our names that somebody else owns, by `kind/name`. */
  readonly foreign: ReadonlyMap<string, ObservedObject>;
  /** An error to back off for; undefined when everything that could be done was done. */
  readonly error: unknown;
}

/**
 * Carries a plan out, in its order. One refused object doesn't keep the others from being written; what failed is
 * said, and tried again with a back-off. Answers go into the stores, so that the next plan knows of them.
 */
export async function applyPlan(
  plan: Plan,
  fleet: { readonly name: string; readonly namespace: string; readonly uid: string },
  options: ApplyOptions,
): Promise<ApplyResult> {
  const failures = new Map<string, Failure>();
  const foreign = new Map<string, ObservedObject>();
  const write = new Writer(fleet, options);
  let error: unknown;
  const attempt = async (key: string, action: () => Promise<ObservedObject | undefined>): Promise<void> => {
    try {
      const owner = await action();
      if (owner && !owner.ours) foreign.set(key, owner);
    } catch (caught) {
      // It is gone, or somebody was faster: the next look at the world tells. Neither is a failure to report.
      if (isStatus(caught, 404)) return;
      error ??= caught;
      const routine =
        isStatus(caught, 409) || (caught instanceof KubeError && caught.reason === 'NotLeading');
      if (!routine) failures.set(key, explainFailure(key, caught));
    }
  };
  const keyOf = ({ kind, metadata }: AppliedObject): string => `${kind}/${metadata.name}`;

  for (const object of plan.apply) await attempt(keyOf(object), () => write.apply(object));
  await inLanes(plan.create, CREATIONS_AT_ONCE, (object) =>
    attempt(keyOf(object), () => write.create(object)),
  );
  for (const restoration of plan.restore) {
    await attempt(`Deployment/${restoration.name}`, () => write.restore(restoration));
  }
  for (const patch of plan.relayPatches) {
    await attempt(`Deployment/${patch.name}`, () => write.metadata(Resources.deployments, patch));
  }
  // Master's outage never keeps a relay from draining: load 100 and the reject tell the same later.
  await tellTogether(plan.master, (call, signal) =>
    attempt(`Master/${call.relayId}`, async () => {
      await options.tellMaster(call, signal);
      return undefined;
    }),
  );
  for (const patch of plan.podPatches) {
    await attempt(`Pod/${patch.name}`, () => write.metadata(Resources.pods, patch));
  }
  for (const deletion of plan.deletions) {
    await attempt(`${deletion.kind}/${deletion.name}`, () => write.delete(deletion));
  }
  return { failures, foreign, error };
}

/** Calls to a Master, some at a time; `signal` ends them all when their time is over. */
export async function tellTogether(
  calls: readonly MasterCall[],
  tell: (call: MasterCall, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const signal = AbortSignal.timeout(MASTER_MS);
  await inLanes(calls, MASTER_CALLS_AT_ONCE, (call) => tell(call, signal));
}

async function inLanes<T>(
  items: readonly T[],
  lanes: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  // One iterator for all of them: each takes the next item that none has taken.
  const rest = items.values();
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      for (const item of rest) await work(item);
    }),
  );
}

/** Each kind of write; resolves with the owner of an object that isn't ours and was left alone. */
class Writer {
  readonly #fleet: { readonly name: string; readonly namespace: string; readonly uid: string };
  readonly #options: ApplyOptions;

  constructor(
    fleet: { readonly name: string; readonly namespace: string; readonly uid: string },
    options: ApplyOptions,
  ) {
    this.#fleet = fleet;
    this.#options = options;
  }

  async apply(object: AppliedObject): Promise<ObservedObject | undefined> {
    const { client, fieldManager, stores } = this.#options;
    const { name, namespace } = object.metadata;
    const live = stores.find(object.kind, namespace, name);
    if (live && isApplied(object, live) && !leavesFields(live, object, fieldManager)) return undefined;
    if (!live) {
      // The stores hold only what carries our label.
      const owner = await this.#foreignOwner(object);
      if (owner) return owner;
    }
    stores.written(
      await client.apply<KubeObject>(resourceOfKind(object.kind), namespace, name, object, fieldManager),
    );
    return undefined;
  }

  /** POST, not apply: a relay that is there already, though the stores don't know it yet, must not get another template. */
  async create(object: AppliedObject): Promise<ObservedObject | undefined> {
    const { client, fieldManager, stores } = this.#options;
    const { namespace } = object.metadata;
    try {
      const made = await client.create<KubeObject>(resourceOfKind(object.kind), namespace, object, {
        query: { fieldManager, fieldValidation: 'Strict' },
      });
      stores.written(made);
      return undefined;
    } catch (error) {
      if (!(error instanceof KubeError && error.reason === 'AlreadyExists')) throw error;
      return this.#foreignOwner(object);
    }
  }

  /** Once for each change: what the server writes in another way than we do must not be put back for ever. */
  async restore({ name, uid, spec }: Restoration): Promise<undefined> {
    const { client, fieldManager, stores, restored } = this.#options;
    const live = stores.find('Deployment', this.#fleet.namespace, name);
    if (live && restored.get(uid) === live.metadata.generation) return undefined;
    const written = await client.patch<KubeObject>(
      Resources.deployments,
      this.#fleet.namespace,
      name,
      [
        { op: 'test', path: '/metadata/uid', value: uid },
        { op: 'replace', path: '/spec', value: spec },
      ],
      { fieldManager, json: true },
    );
    restored.set(uid, written.metadata.generation ?? 0);
    stores.written(written);
    return undefined;
  }

  /** A merge patch that the API server refuses (409) when the name belongs to another object by now. */
  async metadata(resource: Resource, patch: MetadataPatch): Promise<undefined> {
    const { client, fieldManager, stores } = this.#options;
    const metadata = { uid: patch.uid, labels: patch.labels, annotations: patch.annotations };
    const { namespace } = this.#fleet;
    stores.written(
      await client.patch<KubeObject>(resource, namespace, patch.name, { metadata }, { fieldManager }),
    );
    return undefined;
  }

  async delete({ kind, name, uid }: Deletion): Promise<undefined> {
    const { client, stores, restored } = this.#options;
    const { namespace } = this.#fleet;
    const answer = await client.delete<KubeObject>(resourceOfKind(kind), namespace, name, { uid });
    restored.delete(uid);
    // A Status: it is gone. The object itself: a finalizer holds it.
    if (answer.kind === 'Status') stores.removed(kind, { metadata: { name, namespace, uid } });
    else stores.written(answer);
    return undefined;
  }

  /** Whether an object that the stores don't have is there all the same, and whose it is. */
  async #foreignOwner(object: AppliedObject): Promise<ObservedObject | undefined> {
    const { client, stores } = this.#options;
    try {
      const { namespace, name } = object.metadata;
      const live = await client.get<KubeObject>(resourceOfKind(object.kind), namespace, name);
      if (isControlledBy(live, this.#fleet.uid)) {
        stores.written(live);
        return undefined;
      }
      const owner = ownerOf(live, this.#fleet);
      return { ...owner, ours: isOfOurPod(object, live) };
    } catch (error) {
      if (isStatus(error, 404)) return undefined;
      throw error;
    }
  }
}

export function ownerOf(
  live: KubeObject,
  fleet: { readonly name: string; readonly namespace: string; readonly uid: string },
): ObservedObject {
  return {
    uid: live.metadata.uid,
    ours: isControlledBy(live, fleet.uid),
    earlier: isEarlier(live, `${fleet.namespace}/${fleet.name}`, fleet.uid),
    ownerText: ownerText(live),
  };
}

/** A Service of a relay belongs to its pod, not to the fleet. */
function isOfOurPod(object: AppliedObject, live: KubeObject): boolean {
  const wanted = object.metadata.ownerReferences?.[0];
  return (live.metadata.ownerReferences ?? []).some((owner) => owner.uid === wanted?.uid);
}

/** Fields that an earlier version of the object set and that applying this one takes away. */
function leavesFields(live: KubeObject, object: AppliedObject, fieldManager: string): boolean {
  const ours = (live.metadata.managedFields ?? []).find(
    (entry) =>
      entry.manager === fieldManager && entry.operation === 'Apply' && entry.subresource === undefined,
  );
  return ownsMore(ours?.fieldsV1, object);
}
