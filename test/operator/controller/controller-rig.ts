import type { ServerResponse } from 'node:http';
import type { TestContext } from 'node:test';

import { spec as specType } from '../../../operator/api/spec.ts';
import { Announcer } from '../../../operator/controller/announcer.ts';
import { ClusterView } from '../../../operator/controller/cluster-view.ts';
import { Controller } from '../../../operator/controller/controller.ts';
import { MasterWatch } from '../../../operator/controller/master-watch.ts';
import { Resolver } from '../../../operator/controller/resolver.ts';
import { ServedCrd } from '../../../operator/controller/served-crd.ts';
import { EventRecorder } from '../../../operator/kube/events.ts';
import type { KubeObject } from '../../../operator/kube/object.ts';
import { type Resource, resourceOfKind, resourcePath } from '../../../operator/kube/resource.ts';
import type { Poll } from '../../../operator/plan/world.ts';
import { json, refuse, type SeenRequest, StandInApiServer } from '../kube/stand-in-api-server.ts';
import { object } from './objects.ts';

const NAMESPACE = 'games';
/** A node that is ready. */
export const NODE = 'node';
const IS_STATUS = /\/status$/;

/** The controller before an API server that keeps what is written to it. Nothing watches: a test says what is news. */
export class ControllerRig {
  readonly objects = new Map<string, KubeObject>();
  readonly polls = new Map<string, Poll>();
  /** Fleets that the stores asked a new look for. */
  readonly lookedFor: string[] = [];
  /** When the controller asked to look again. */
  readonly again: number[] = [];
  nowMs = Date.parse('2026-01-01T00:00:00Z');
  /** Answers a request in another way; returns whether it did. */
  instead: (request: SeenRequest, response: ServerResponse) => boolean = () => false;
  controller!: Controller;
  server!: StandInApiServer;
  view!: ClusterView;
  #version = 1;

  static async start(t: TestContext): Promise<ControllerRig> {
    const rig = new ControllerRig();
    const server = await StandInApiServer.start((request, response) => {
      if (!rig.instead(request, response)) rig.#answer(request, response);
    });
    t.after(() => server.stop());
    rig.server = server;
    const { client } = server;
    const wallMs = (): number => rig.nowMs;
    const onProblem = (): void => undefined;
    const onChange = (): void => undefined;
    rig.view = new ClusterView({
      client,
      namespaces: [],
      random: () => 0,
      onFleet: (key) => rig.lookedFor.push(key),
      onNodes: onChange,
      onProblem,
    });
    const conditions = [{ type: 'Ready', status: 'True' }];
    rig.view.nodes.put({ ...object(NODE), kind: 'Node', status: { addresses: [], conditions } });
    const events = new EventRecorder({ client, component: 'test', instance: 'test', wallMs, onProblem });
    t.after(() => events.stop());
    rig.controller = new Controller({
      client,
      writer: client,
      mayWrite: () => true,
      view: rig.view,
      poller: { polls: rig.polls, complete: true },
      masters: new MasterWatch({ wallMs, onChange }),
      resolver: new Resolver({ wallMs, onChange }),
      announcer: new Announcer(events, () => undefined),
      crd: new ServedCrd({ client, after: () => onChange, onProblem, onMended: onProblem }),
      metricsApi: () => ({ state: 'ours', message: '' }),
      fieldManager: 'test',
      defaults: { defaultImage: 'relay:test', runbooks: '' },
      maxConcurrentRollouts: 1,
      wallMs,
      again: (_, atMs) => rig.again.push(atMs),
      onStatus: () => undefined,
    });
    return rig;
  }

  /** Another controller finds everything as this one leaves it. */
  async handOver(t: TestContext): Promise<ControllerRig> {
    const next = await ControllerRig.start(t);
    next.nowMs = this.nowMs;
    next.#version = this.#version;
    for (const [uid, poll] of this.polls) next.polls.set(uid, poll);
    for (const [path, kept] of this.objects) {
      next.objects.set(path, kept);
      next.view.written(kept);
    }
    return next;
  }

  /** Makes a WavryRelay, or changes its spec. */
  fleet(name: string, spec: Readonly<Record<string, unknown>>): void {
    const path = pathOf(resourceOfKind('WavryRelay'), name);
    const generation = (this.objects.get(path)?.metadata.generation ?? 0) + 1;
    const body = { apiVersion: 'wavry.dev/v1alpha1', spec: specType.parse(spec), metadata: { generation } };
    this.put('WavryRelay', name, body);
  }

  /** An object as somebody else writes it. */
  put(kind: string, name: string, body: Parameters<typeof object>[1]): KubeObject {
    const path = pathOf(resourceOfKind(kind), name);
    const kept = this.#keep(path, { ...object(name, body), kind });
    this.view.written(kept);
    return kept;
  }

  /** What the status of a fleet says of one condition, as the API server has it. */
  condition(name: string, type: string): { readonly reason: string; readonly message: string } | undefined {
    const fleet = this.objects.get(pathOf(resourceOfKind('WavryRelay'), name));
    const status = fleet?.['status'] as
      | { readonly conditions?: readonly { type: string; reason: string; message: string }[] }
      | undefined;
    return status?.conditions?.find((condition) => condition.type === type);
  }

  reconcile(name: string): Promise<void> {
    return this.controller.reconcile(`${NAMESPACE}/${name}`);
  }

  #answer({ method, path, body }: SeenRequest, response: ServerResponse): void {
    const given = body === '' ? undefined : (JSON.parse(body) as KubeObject);
    if (method === 'POST') {
      json(response, this.#keep(`${path}/${given!.metadata.name}`, given!), 201);
      return;
    }
    const place = path.replace(IS_STATUS, '');
    const live = this.objects.get(place);
    if (method === 'GET' || method === 'DELETE') {
      if (!live) refuse(response, 404, 'NotFound');
      else json(response, method === 'GET' ? live : { kind: 'Status' });
      if (method === 'DELETE') this.objects.delete(place);
      return;
    }
    const next = IS_STATUS.test(path) ? { ...live, status: given!['status'] } : { ...live, ...given };
    json(response, this.#keep(place, next as KubeObject));
  }

  #keep(path: string, given: KubeObject): KubeObject {
    const live = this.objects.get(path);
    const { annotations, labels, ...metadata } = given.metadata;
    const resourceVersion = String((this.#version += 1));
    const kept = {
      ...given,
      metadata: {
        ...object(metadata.name).metadata,
        ...live?.metadata,
        ...metadata,
        labels: { ...live?.metadata.labels, ...labels },
        annotations: { ...live?.metadata.annotations, ...annotations },
        resourceVersion,
      },
    };
    this.objects.set(path, kept);
    return kept;
  }
}

function pathOf(resource: Resource, name: string): string {
  return resourcePath(resource, NAMESPACE, name);
}
