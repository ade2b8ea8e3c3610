import { lookup } from 'node:dns/promises';

import { API_VERSION, KIND } from '../api/meta.ts';
import type { Poller } from '../fleet/poller.ts';
import type { KubeClient } from '../kube/client.ts';
import type { EventRecorder } from '../kube/events.ts';
import { isStatus } from '../kube/kube-error.ts';
import type { KubeObject } from '../kube/object.ts';
import { updateState } from '../master/admin-client.ts';
import { plan } from '../plan/plan.ts';
import type { Condition, MasterCall, ObservedObject, Plan, World } from '../plan/world.ts';
import { applyPlan } from './apply.ts';
import type { ClusterView } from './cluster-view.ts';
import type { MasterWatch } from './master-watch.ts';
import { observe, observeFleet } from './observe.ts';
import { type References, readReferences } from './references.ts';
import { statusDue, writeStatus } from './status-writer.ts';

/** Secrets and ConfigMaps of others are not watched, so they are read again after this time. */
const REFERENCES_MS = 30_000;
/** Somebody else's object with our name is looked at again after this time. */
const FOREIGN_MS = 60_000;
/** Load balancers' host names change their address now and then. */
const RESOLVE_MS = 60_000;

export interface ControllerOptions {
  readonly client: KubeClient;
  readonly view: ClusterView;
  readonly poller: Poller;
  readonly masters: MasterWatch;
  readonly events: EventRecorder;
  readonly fieldManager: string;
  readonly defaultImage: string;
  readonly maxConcurrentRollouts: number;
  readonly wallMs: () => number;
  readonly mayWrite: () => boolean;
  readonly again: (key: string, atMs: number) => void;
  readonly log: (level: 'info' | 'warn', message: string, fields: Record<string, unknown>) => void;
}

/** What is remembered of a fleet between two looks: only what can be found out again. */
interface Memory {
  references?: { readonly value: References; readonly atMs: number; readonly generation: number };
  foreign: ReadonlyMap<string, ObservedObject>;
  foreignAtMs: number;
  failures: ReadonlyMap<string, string>;
  statusWrittenMs: number;
  /** Events that were said, so that a plan that stays the same doesn't say them at each look. */
  said: Set<string>;
}

/** A relay that is only starting is no news: it becomes one when it takes long. */
function isPassing(condition: Condition, nowMs: number): boolean {
  const young = nowMs - Date.parse(condition.lastTransitionTime) < START_MS;
  return young && PASSING_REASONS.has(condition.reason);
}

const START_MS = 45_000;
const PASSING_REASONS = new Set([
  'Starting',
  'NotReady',
  'NotRegistered',
  'PodPending',
  'PodInitializing',
  'ContainerCreating',
  'EndpointsPending',
]);

/** Brings one fleet closer to its spec: observe, plan, apply. Level-triggered; may be called at any time. */
export class Controller {
  readonly #options: ControllerOptions;
  readonly #memory = new Map<string, Memory>();
  readonly #resolved = new Map<string, { readonly addresses: readonly string[]; readonly atMs: number }>();
  readonly #rollingOut = new Set<string>();

  constructor(options: ControllerOptions) {
    this.#options = options;
  }

  /** Works on one WavryRelay, `namespace/name`. Rejects when something failed that a later try may mend. */
  async reconcile(key: string): Promise<void> {
    const { view, wallMs, mayWrite, again } = this.#options;
    const [namespace, name] = key.split('/') as [string, string];
    const object = view.fleets.get(namespace, name);
    if (!object || object.metadata.deletionTimestamp !== undefined) {
      // Its objects go by their owner references; their pods drain under their grace period.
      this.#memory.delete(key);
      this.#rollingOut.delete(key);
      return;
    }
    if (!mayWrite()) return;

    const memory = this.#memory.get(key) ?? {
      foreign: new Map(),
      foreignAtMs: 0,
      failures: new Map(),
      statusWrittenMs: 0,
      said: new Set<string>(),
    };
    this.#memory.set(key, memory);
    const references = await this.#references(object, memory);
    const world = await this.#observe(object, memory, references);
    const decided = plan(world);
    this.#noteRollout(key, decided);
    await this.#carryOut(key, world, decided, references, memory);

    const looks = [decided.nextLookMs, wallMs() + REFERENCES_MS].filter((look) => look !== undefined);
    again(key, Math.min(...looks));
  }

  async #carryOut(
    key: string,
    world: World,
    decided: Plan,
    references: References,
    memory: Memory,
  ): Promise<void> {
    const { client, fieldManager, view, masters, mayWrite, wallMs, again, events, log } = this.#options;
    const { fleet } = world;
    const result = await applyPlan(decided, fleet, {
      client,
      fieldManager,
      mayWrite,
      find: (kind, namespace, name) => view.find(kind, namespace, name),
      tellMaster: (call) => this.#tellMaster(call, world, references),
    });
    memory.failures = result.failures;
    if (result.foreign.size > 0 || world.nowMs - memory.foreignAtMs > FOREIGN_MS) {
      memory.foreign = result.foreign;
      memory.foreignAtMs = world.nowMs;
    }
    masters.refresh(key, fleet.spec, references.adminToken);

    const subject = {
      apiVersion: API_VERSION,
      kind: KIND,
      name: fleet.name,
      namespace: fleet.namespace,
      uid: fleet.uid,
    };
    const said = new Set<string>();
    const troubles = (decided.status.conditions ?? [])
      .filter((condition) =>
        condition.type === 'Degraded' ? condition.status === 'True' : condition.status === 'False',
      )
      .filter((condition) => condition.type !== 'Autoscaling' && !isPassing(condition, world.nowMs))
      .map((condition) => ({
        type: 'Warning' as const,
        reason: condition.reason,
        message: condition.message,
      }));
    for (const event of [...decided.events, ...troubles]) {
      const text = `${event.reason} ${event.message}`;
      if (said.has(text)) continue;
      said.add(text);
      if (memory.said.has(text) || !mayWrite()) continue;
      events.record(subject, event.type, event.reason, event.message);
      log(event.type === 'Normal' ? 'info' : 'warn', event.message, { fleet: key, reason: event.reason });
    }
    memory.said = said;

    const due = statusDue(fleet.status, decided.status, memory.statusWrittenMs, wallMs());
    if (due.write && mayWrite()) {
      await writeStatus(client, fleet, decided.status, fieldManager).catch((error: unknown) => {
        if (!isStatus(error, 404) && !isStatus(error, 409)) throw error;
      });
      memory.statusWrittenMs = wallMs();
    }
    if (due.atMs !== undefined) again(key, due.atMs);
    if (result.error !== undefined && !isStatus(result.error, 404)) throw result.error;
  }

  async #tellMaster(call: MasterCall, world: World, references: References): Promise<void> {
    if (references.adminToken === undefined) return;
    const { spec } = world.fleet;
    await updateState(spec.master.url, references.adminToken, call);
    this.#options.masters.told(spec, call.relayId, call.state);
  }

  async #references(object: KubeObject, memory: Memory): Promise<References> {
    const { client, defaultImage, wallMs } = this.#options;
    const fleet = observeFleet(object, defaultImage);
    const known = memory.references;
    if (known && known.generation === fleet.generation && wallMs() - known.atMs < REFERENCES_MS)
      return known.value;
    const value = await readReferences(client, fleet.namespace, fleet.spec);
    memory.references = { value, atMs: wallMs(), generation: fleet.generation };
    return value;
  }

  async #observe(object: KubeObject, memory: Memory, references: References): Promise<World> {
    const { view, poller, masters, fieldManager, defaultImage, wallMs } = this.#options;
    const fleet = observeFleet(object, defaultImage);
    const key = `${fleet.namespace}/${fleet.name}`;
    await this.#resolve(view.ofFleet(key, 'Service'));
    return observe(view, object, {
      nowMs: wallMs(),
      defaultImage,
      fieldManager,
      polls: poller.polls,
      master: masters.registry(fleet.spec),
      resolved: new Map([...this.#resolved].map(([name, entry]) => [name, entry.addresses])),
      foreign: memory.foreign,
      failures: memory.failures,
      referenceProblems: references.problems,
      mayRollOut: this.#rollingOut.has(key) || this.#rollingOut.size < this.#options.maxConcurrentRollouts,
    });
  }

  #noteRollout(key: string, decided: Plan): void {
    const progressing = decided.status.conditions?.find((condition) => condition.type === 'Progressing');
    if (progressing?.reason === 'RollingOut') this.#rollingOut.add(key);
    else this.#rollingOut.delete(key);
  }

  async #resolve(services: readonly KubeObject[]): Promise<void> {
    const nowMs = this.#options.wallMs();
    const names = services.flatMap((service) => {
      const status = service['status'] as
        | { loadBalancer?: { ingress?: { hostname?: string }[] } }
        | undefined;
      return (status?.loadBalancer?.ingress ?? []).flatMap((entry) => entry.hostname ?? []);
    });
    await Promise.all(
      [...new Set(names)].map(async (name) => {
        const known = this.#resolved.get(name);
        if (known && nowMs - known.atMs < RESOLVE_MS) return;
        const found = await lookup(name, { all: true }).catch(() => []);
        // A resolver that fails for a moment must not take a working address away.
        const addresses = found.length > 0 ? found.map((entry) => entry.address) : (known?.addresses ?? []);
        this.#resolved.set(name, { addresses, atMs: nowMs });
      }),
    );
    if (this.#resolved.size > 4096) this.#resolved.clear();
  }
}
