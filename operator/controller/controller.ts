import { readSpec } from '../api/read-spec.ts';
import type { WavryRelaySpec } from '../api/spec.ts';
import type { WavryRelayStatus } from '../api/status.ts';
import type { Poller } from '../fleet/poller.ts';
import type { KubeClient } from '../kube/client.ts';
import { isNamespaceTerminating, isStatus } from '../kube/kube-error.ts';
import type { KubeObject } from '../kube/object.ts';
import { resourceOfKind } from '../kube/resource.ts';
import { updateState } from '../master/admin-client.ts';
import { leavingCalls } from '../plan/drain.ts';
import type { MetricsApi } from '../plan/metrics-api.ts';
import { plan } from '../plan/plan.ts';
import { unreadableStatus } from '../plan/unreadable.ts';
import type { Failure, MasterCall, ObservedFleet, ObservedObject, Plan } from '../plan/world.ts';
import type { FleetDefaults } from '../specs/fleet.ts';
import { ageMs } from './age.ts';
import { type Announcer, newsAtMs } from './announcer.ts';
import { applyPlan, type ApplyResult, ownerOf, tellTogether } from './apply.ts';
import { type ClusterView, isRelayPod } from './cluster-view.ts';
import { portsOf } from './host-ports.ts';
import type { MasterWatch } from './master-watch.ts';
import { observe, observeFleet } from './observe.ts';
import { observePod } from './observe-pod.ts';
import { type References, readReferences } from './references.ts';
import type { Resolver } from './resolver.ts';
import { RolloutSlots } from './rollout-slots.ts';
import { isFieldUnknown, type ServedCrd } from './served-crd.ts';
import { statusDue, writeStatus } from './status-writer.ts';

/** Secrets and ConfigMaps of others are not watched: they are read again after this time, and sooner while one is missing. */
const REFERENCES_MS = 60_000;
const REFERENCES_BROKEN_MS = 5000;
/** Somebody else's object with our name, and what a fleet left behind, is looked at again after this time. */
const FOREIGN_MS = 10_000;
/** Every fleet is looked at again after this time, whatever happens. */
const LOOK_MS = 30_000;

export interface ControllerOptions {
  readonly client: KubeClient;
  /** The same, but it sends nothing that writes once this process no longer leads. */
  readonly writer: KubeClient;
  /** Whether this process leads now. */
  readonly mayWrite: () => boolean;
  readonly view: ClusterView;
  readonly poller: Pick<Poller, 'polls' | 'complete'>;
  readonly masters: MasterWatch;
  readonly resolver: Resolver;
  readonly announcer: Announcer;
  readonly crd: ServedCrd;
  /** Whether autoscalers get what this operator measures. */
  readonly metricsApi: () => MetricsApi;
  readonly fieldManager: string;
  readonly defaults: FleetDefaults;
  readonly maxConcurrentRollouts: number;
  readonly wallMs: () => number;
  readonly again: (key: string, atMs: number) => void;
  /** The status of a fleet as it is now; undefined when the fleet is gone. */
  readonly onStatus: (key: string, status: WavryRelayStatus | undefined) => void;
}

/** What is remembered of a fleet between two looks: only what can be found out again. */
interface Memory {
  spec?: WavryRelaySpec;
  /** `of` is the part of the spec that names them. */
  references?: { readonly value: References; readonly atMs: number; readonly of: string };
  foreign: ReadonlyMap<string, ObservedObject>;
  foreignAtMs: number;
  failures: ReadonlyMap<string, Failure>;
  /** When the namespace refused what is made, as it is being deleted: nothing is tried for a while. */
  terminatingAtMs: number;
  readonly restored: Map<string, number>;
  statusWrittenMs: number;
}

/** Brings one fleet closer to its spec: observe, plan, apply. Level-triggered; may be called at any time. */
export class Controller {
  readonly #options: ControllerOptions;
  readonly #memory = new Map<string, Memory>();
  readonly #rollouts: RolloutSlots;
  readonly #plannedPorts = new Map<string, ReadonlyMap<string, number>>();

  constructor(options: ControllerOptions) {
    this.#options = options;
    this.#rollouts = new RolloutSlots(options.maxConcurrentRollouts);
  }

  /** Works on one WavryRelay, `namespace/name`. Rejects when something failed that a later try may mend. */
  async reconcile(key: string): Promise<void> {
    const { view, wallMs, again, defaults } = this.#options;
    const [namespace, name] = key.split('/') as [string, string];
    const object = view.fleets.get(namespace, name);
    if (!object || object.metadata.deletionTimestamp !== undefined) {
      // Its objects go by their owner references; their pods drain under their grace period.
      await this.#partFrom(key);
      return;
    }
    const memory = this.#remember(key);
    const { spec, problems, unknownFields } = readSpec(object['spec']);
    if (!spec) {
      await this.#refuse(key, object, problems, memory);
      return;
    }

    memory.spec = spec;
    const fleet = observeFleet(object, spec, defaults);
    const references = await this.#references(fleet, memory);
    await this.#lookAtForeign(fleet, memory);
    const decided = this.#plan(key, fleet, references, unknownFields, memory);
    try {
      await this.#carryOut(key, fleet, decided, references, memory);
    } finally {
      const broken = references.problems.length > 0 ? REFERENCES_BROKEN_MS : LOOK_MS;
      const looks = [decided.nextLookMs, newsAtMs(decided.status, wallMs()), wallMs() + broken];
      if (memory.foreign.size > 0) looks.push(memory.foreignAtMs + FOREIGN_MS);
      again(key, Math.min(...looks.filter((look) => look !== undefined)));
    }
  }

  /** Without a pause between looking and noting: no two workers may give the last rollout away, or one port of a node. */
  #plan(
    key: string,
    fleet: ObservedFleet,
    references: References,
    unknownFields: readonly string[],
    memory: Memory,
  ): Plan {
    const { view, poller, masters, resolver, fieldManager, wallMs } = this.#options;
    const hostnames: string[] = [];
    const decided = plan(
      observe(view, fleet, {
        nowMs: wallMs(),
        fieldManager,
        polls: poller.polls,
        pollsComplete: poller.complete,
        metricsApi: this.#options.metricsApi(),
        master: masters.registry(fleet.spec),
        resolve: (hostname) => {
          hostnames.push(hostname);
          return resolver.addresses(hostname, key);
        },
        foreign: memory.foreign,
        failures: memory.failures,
        unknownFields,
        referenceProblems: references.problems,
        mayRollOut: this.#rollouts.mayRollOut(key, view.fleets),
        plannedPorts: this.#plannedPorts,
      }),
    );
    this.#plannedPorts.set(key, portsOf(decided.create));
    this.#rollouts.decided(key, decided.status);
    const dueMs = resolver.dueMs(hostnames);
    return dueMs === undefined
      ? decided
      : { ...decided, nextLookMs: Math.min(dueMs, decided.nextLookMs ?? Infinity) };
  }

  async #carryOut(
    key: string,
    fleet: ObservedFleet,
    decided: Plan,
    references: References,
    memory: Memory,
  ): Promise<void> {
    const { writer, fieldManager, view, masters, wallMs, announcer } = this.#options;
    const terminating = ageMs(memory.terminatingAtMs, wallMs()) < LOOK_MS;
    const plan = terminating ? { ...decided, apply: [], create: [], restore: [] } : decided;
    const result = await applyPlan(plan, fleet, {
      client: writer,
      fieldManager,
      stores: view,
      restored: memory.restored,
      tellMaster: (call, signal) => this.#tellMaster(call, fleet.spec, references, signal),
    });
    // What wasn't tried is refused as before.
    const failures = terminating ? memory.failures : result.failures;
    const failed = changed(memory.failures, failures);
    memory.failures = failures;
    const refused = isNamespaceTerminating(result.error);
    if (refused) memory.terminatingAtMs = wallMs();
    this.#noteForeign(key, memory, result);
    masters.refresh(key, fleet.spec, references.adminToken);

    const done = decided.events.filter(
      ({ about }) => about === undefined || !(failures.has(about) || result.foreign.has(about)),
    );
    announcer.announce(
      { name: fleet.name, namespace: fleet.namespace, uid: fleet.uid },
      done,
      decided.status,
      wallMs(),
    );
    await this.#writeStatus(key, fleet, decided.status, memory);
    if (result.error !== undefined && !refused) throw result.error;
    if (references.unread) throw references.unread;
    // What failed, or no longer does, is told by the next plan's conditions. While something fails the back-off says when.
    if (failed) this.#options.again(key, wallMs());
  }

  async #refuse(key: string, object: KubeObject, problems: readonly string[], memory: Memory): Promise<void> {
    const { wallMs, announcer } = this.#options;
    const { name, namespace = '', uid, generation = 0 } = object.metadata;
    const last = object['status'] as WavryRelayStatus | undefined;
    const status = unreadableStatus({ generation, status: last }, problems, wallMs());
    this.#rollouts.decided(key, status);
    this.#plannedPorts.delete(key);
    announcer.announce({ name, namespace, uid }, [], status, wallMs());
    await this.#writeStatus(key, { name, namespace, uid, status: last }, status, memory);
  }

  async #writeStatus(
    key: string,
    fleet: Pick<ObservedFleet, 'name' | 'namespace' | 'uid' | 'status'>,
    whole: WavryRelayStatus,
    memory: Memory,
  ): Promise<void> {
    const { writer, fieldManager, view, wallMs, again, onStatus, crd } = this.#options;
    onStatus(key, whole);
    const status = crd.trimmed(whole);
    const due = statusDue(fleet.status, status, memory.statusWrittenMs, wallMs());
    if (due.atMs !== undefined) again(key, due.atMs);
    if (!due.write) return;
    try {
      view.written(await writeStatus(writer, fleet, status, fieldManager));
      memory.statusWrittenMs = wallMs();
    } catch (error) {
      if (isFieldUnknown(error)) await crd.look();
      // It is gone, or another by now.
      if (!isStatus(error, 404) && !isStatus(error, 409)) throw error;
    }
  }

  #noteForeign(key: string, memory: Memory, result: ApplyResult): void {
    const nowMs = this.#options.wallMs();
    if (result.foreign.size === 0) return;
    memory.foreign = new Map([...memory.foreign, ...result.foreign]);
    memory.foreignAtMs = nowMs;
    this.#options.again(key, nowMs);
  }

  /** Objects of others aren't watched, as they lack our label: whether they are still there is asked now and then. */
  async #lookAtForeign(fleet: ObservedFleet, memory: Memory): Promise<void> {
    const { client, wallMs } = this.#options;
    if (memory.foreign.size === 0 || ageMs(memory.foreignAtMs, wallMs()) < FOREIGN_MS) return;
    const still = new Map<string, ObservedObject>();
    for (const key of memory.foreign.keys()) {
      const [kind, name] = key.split('/') as [string, string];
      try {
        const live = await client.get<KubeObject>(resourceOfKind(kind), fleet.namespace, name);
        const owner = ownerOf(live, fleet);
        if (!owner.ours) still.set(key, owner);
      } catch (error) {
        if (!isStatus(error, 404)) throw error;
      }
    }
    memory.foreign = still;
    memory.foreignAtMs = wallMs();
  }

  async #tellMaster(
    call: MasterCall,
    spec: WavryRelaySpec,
    references: References,
    signal: AbortSignal,
  ): Promise<void> {
    const { masters, mayWrite } = this.#options;
    if (!mayWrite()) return;
    if (references.adminToken === undefined) {
      if (spec.master.adminTokenFrom && references.unread) throw references.unread;
      return;
    }
    const silence = masters.silence(spec);
    if (silence) throw silence;
    try {
      await updateState(spec.master.url, references.adminToken, call, signal);
    } catch (error) {
      if (signal.aborted) masters.fellSilent(spec, error as Error);
      throw error;
    }
    masters.told(spec, call.relayId, call.state);
  }

  async #references(fleet: ObservedFleet, memory: Memory): Promise<References> {
    const { client, wallMs } = this.#options;
    const of = JSON.stringify(fleet.spec.master);
    const known = memory.references?.of === of ? memory.references : undefined;
    if (known) {
      const keepMs = known.value.problems.length > 0 ? REFERENCES_BROKEN_MS : REFERENCES_MS;
      if (ageMs(known.atMs, wallMs()) < keepMs) return known.value;
    }
    const value = await readReferences(client, fleet.namespace, fleet.spec);
    // What was known last stays in force.
    if (value.unread) return known ? { ...known.value, unread: value.unread } : value;
    memory.references = { value, atMs: wallMs(), of };
    return value;
  }

  #remember(key: string): Memory {
    const memory = this.#memory.get(key) ?? {
      foreign: new Map(),
      foreignAtMs: 0,
      failures: new Map(),
      terminatingAtMs: 0,
      restored: new Map(),
      statusWrittenMs: 0,
    };
    this.#memory.set(key, memory);
    return memory;
  }

  /**
   * Master hears that the pods of a fleet that is gone drain, for as long as there are any: with the token that the fleet
   * named, as nothing in the cluster tells of it any more.
   */
  async #partFrom(key: string): Promise<void> {
    const { view, masters, announcer, onStatus, again, wallMs } = this.#options;
    this.#rollouts.forget(key);
    this.#plannedPorts.delete(key);
    announcer.forget(key);
    onStatus(key, undefined);
    const { spec, references } = this.#memory.get(key) ?? {};
    const pods = view.ofFleet(key, 'Pod').filter(isRelayPod).map(observePod);
    if (!spec || references?.value.adminToken === undefined || pods.length === 0) {
      this.#memory.delete(key);
      masters.forget(key);
      return;
    }
    again(key, wallMs() + FOREIGN_MS);
    const master = masters.registry(spec);
    masters.refresh(key, spec, references.value.adminToken);
    const ending = pods.filter(({ terminating }) => terminating);
    await tellTogether(leavingCalls({ master }, ending), (call, signal) =>
      this.#tellMaster(call, spec, references.value, signal),
    );
  }
}

function changed(before: ReadonlyMap<string, Failure>, now: ReadonlyMap<string, Failure>): boolean {
  return (
    before.size !== now.size ||
    [...now].some(([key, failure]) => before.get(key)?.message !== failure.message)
  );
}
