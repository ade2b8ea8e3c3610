import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test, type TestContext } from 'node:test';

import type { KubeObject } from '../../../operator/kube/object.ts';
import { Reflector } from '../../../operator/kube/reflector.ts';
import { Resources } from '../../../operator/kube/resource.ts';
import { Store } from '../../../operator/kube/store.ts';
import { until } from '../../e2e/operator/until.ts';
import { json, refuse, type SeenRequest, StandInApiServer } from './stand-in-api-server.ts';

/** An API server with ConfigMaps, whose watches the test writes to. */
class Site {
  readonly store = new Store<KubeObject>();
  readonly problems: { readonly message: string; readonly missing: boolean }[] = [];
  readonly watches: { readonly request: SeenRequest; readonly response: ServerResponse }[] = [];
  synced = 0;
  /** Answers a list; by default these objects at this version. */
  list: (request: SeenRequest, response: ServerResponse) => void;
  /** Answers a watch; by default it is kept open for the test. */
  watch: (request: SeenRequest, response: ServerResponse) => void;
  server!: StandInApiServer;
  reflector!: Reflector<KubeObject>;

  private constructor() {
    this.list = (_, response) => json(response, listOf('10', [mapOf('a', '5')]));
    this.watch = (request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.flushHeaders();
      this.watches.push({ request, response });
    };
  }

  static async start(
    t: TestContext,
    prepare: (site: Site) => void = () => {},
    options: { readonly idleMs?: number; readonly namespace?: string } = {},
  ): Promise<Site> {
    const site = new Site();
    prepare(site);
    site.server = await StandInApiServer.start((request, response) => {
      if (request.query.get('watch') === 'true') site.watch(request, response);
      else site.list(request, response);
    });
    site.reflector = new Reflector({
      client: site.server.client,
      resource: Resources.configMaps,
      store: site.store,
      random: () => 0,
      onProblem: (problem) => site.problems.push(problem),
      onSynced: () => (site.synced += 1),
      ...options,
    });
    t.after(async () => {
      await site.reflector.stop();
      await site.server.stop();
    });
    site.reflector.start();
    return site;
  }

  get lists(): SeenRequest[] {
    return this.server.requests.filter(({ query }) => query.get('watch') !== 'true');
  }

  /** The n-th watch, from 1, once it is there. */
  async nthWatch(n: number): Promise<{ readonly request: SeenRequest; readonly response: ServerResponse }> {
    return until(`watch ${n}`, () => this.watches[n - 1]);
  }

  names(): string[] {
    return this.store
      .list()
      .map(({ metadata }) => `${metadata.name}@${metadata.resourceVersion}`)
      .toSorted();
  }

  whenNames(...names: readonly string[]): Promise<true | undefined> {
    return until(`the store to hold ${names.join(', ')}`, () => {
      if (this.names().join() !== names.join()) throw new Error(this.names().join());
      return true as const;
    });
  }
}

function mapOf(name: string, resourceVersion: string, namespace = 'default', uid = name): KubeObject {
  return { metadata: { name, namespace, uid, resourceVersion, creationTimestamp: '' } };
}

function listOf(resourceVersion: string, items: readonly KubeObject[], page?: string): object {
  return { metadata: { resourceVersion, ...(page === undefined ? {} : { continue: page }) }, items };
}

function send(response: ServerResponse, type: string, object: unknown): void {
  response.write(`${JSON.stringify({ type, object })}\n`);
}

test('a list, then a watch from its version: additions, changes and deletions arrive', async (t) => {
  const site = await Site.start(t);
  const { request, response } = await site.nthWatch(1);
  assert.equal(site.synced, 1);
  assert.deepEqual(site.names(), ['a@5']);
  assert.equal(request.query.get('resourceVersion'), '10');
  assert.equal(request.query.get('allowWatchBookmarks'), 'true');
  assert.equal(request.query.get('timeoutSeconds'), '300');
  send(response, 'ADDED', mapOf('b', '11'));
  send(response, 'MODIFIED', mapOf('a', '12'));
  await site.whenNames('a@12', 'b@11');
  send(response, 'DELETED', mapOf('a', '13'));
  await site.whenNames('b@11');
  assert.equal(site.store.get('default', 'b')?.kind, undefined);
  assert.deepEqual(site.problems, []);
});

test('items of a list get the kind that they don’t say', async (t) => {
  const site = await Site.start(t);
  await site.nthWatch(1);
  const { apiVersion, kind } = site.store.get('default', 'a')!;
  assert.deepEqual([apiVersion, kind], ['v1', 'ConfigMap']);
});

test('a watch that ends goes on from the last version seen, that of a bookmark included, without a list', async (t) => {
  const site = await Site.start(t);
  const first = await site.nthWatch(1);
  send(first.response, 'ADDED', mapOf('b', '11'));
  await site.whenNames('a@5', 'b@11');
  first.response.end();
  const second = await site.nthWatch(2);
  assert.equal(second.request.query.get('resourceVersion'), '11');
  send(second.response, 'BOOKMARK', { metadata: { resourceVersion: '40' } });
  send(second.response, 'ADDED', mapOf('c', '41'));
  send(second.response, 'BOOKMARK', { metadata: { resourceVersion: '50' } });
  second.response.end();
  const third = await site.nthWatch(3);
  assert.equal(third.request.query.get('resourceVersion'), '50');
  assert.deepEqual(site.names(), ['a@5', 'b@11', 'c@41']);
  assert.equal(site.lists.length, 1);
});

test('events that are cut anywhere, and characters too, are put together', async (t) => {
  const site = await Site.start(t);
  const { response } = await site.nthWatch(1);
  const object = { ...mapOf('b', '11'), data: { greeting: 'grüße 🎮' } };
  const bytes = Buffer.from(`${JSON.stringify({ type: 'ADDED', object })}\n`);
  for (let at = 0; at < bytes.length; at += 7) {
    response.write(bytes.subarray(at, at + 7));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await site.whenNames('a@5', 'b@11');
  assert.deepEqual(site.store.get('default', 'b')?.['data'], { greeting: 'grüße 🎮' });
});

test('a cut connection is resumed from the last version, and said', async (t) => {
  const site = await Site.start(t);
  const { response } = await site.nthWatch(1);
  send(response, 'ADDED', mapOf('b', '11'));
  await site.whenNames('a@5', 'b@11');
  site.server.cut();
  const { request } = await site.nthWatch(2);
  assert.equal(request.query.get('resourceVersion'), '11');
  assert.equal(site.lists.length, 1);
  assert.match(site.problems[0]!.message, /^watching configmaps: GET /);
});

for (const [name, say] of Object.entries<(response: ServerResponse) => void>({
  'as the status of the watch': (response) => refuse(response, 410, 'Expired'),
  'as an event of it': (response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    send(response, 'ERROR', { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' });
    response.end();
  },
})) {
  test(`410 ${name} means a new list, which takes away what was deleted meanwhile`, async (t) => {
    let refusals = 0;
    const site = await Site.start(t, (site) => {
      const keep = site.watch;
      site.watch = (request, response) => {
        if (refusals > 0) return keep(request, response);
        refusals += 1;
        site.list = (_, answer) => json(answer, listOf('90', [mapOf('z', '88')]));
        say(response);
      };
    });
    const { request } = await site.nthWatch(1);
    assert.equal(request.query.get('resourceVersion'), '90');
    assert.deepEqual(site.names(), ['z@88']);
    assert.equal(site.lists.length, 2);
    assert.deepEqual(site.problems, [], 'a version that grew too old is routine');
  });
}

test('a watch that says it failed means a new list: from where it was it may fail again and again', async (t) => {
  const site = await Site.start(t);
  const { response } = await site.nthWatch(1);
  send(response, 'ADDED', mapOf('b', '11'));
  await site.whenNames('a@5', 'b@11');
  site.list = (_, answer) => json(answer, listOf('90', [mapOf('z', '88')]));
  send(response, 'ERROR', {
    kind: 'Status',
    code: 500,
    reason: 'InternalError',
    message: 'unable to decode',
  });
  response.end();
  const { request } = await site.nthWatch(2);
  assert.equal(request.query.get('resourceVersion'), '90');
  assert.deepEqual(site.names(), ['z@88']);
  assert.match(site.problems[0]!.message, /unable to decode$/);
});

test('an overloaded API server is asked again when it said, and not from the start', async (t) => {
  let refusedAtMs = 0;
  const site = await Site.start(t, (site) => {
    const keep = site.watch;
    site.watch = (request, response) => {
      if (refusedAtMs > 0) return keep(request, response);
      refusedAtMs = performance.now();
      refuse(response, 429, 'TooManyRequests', { 'retry-after': '2' });
    };
  });
  const { request } = await site.nthWatch(1);
  assert.ok(performance.now() - refusedAtMs >= 1990);
  assert.equal(request.query.get('resourceVersion'), '10');
  assert.equal(site.lists.length, 1);
});

test('a watch that falls silent is begun anew from where it was, and nobody is told', async (t) => {
  const site = await Site.start(t, undefined, { idleMs: 2000 });
  const { response } = await site.nthWatch(1);
  send(response, 'ADDED', mapOf('b', '11'));
  const { request } = await site.nthWatch(2);
  assert.equal(request.query.get('resourceVersion'), '11');
  assert.deepEqual([site.lists.length, site.problems], [1, []]);
});

test('an event that is no JSON means a new list: nothing is known to be true any more', async (t) => {
  const site = await Site.start(t);
  const { response } = await site.nthWatch(1);
  response.write('{"type":"ADDED","object":\n');
  const { request } = await site.nthWatch(2);
  assert.equal(request.query.get('resourceVersion'), '10');
  assert.equal(site.lists.length, 2);
  assert.equal(site.problems.length, 1);
});

test('a kind that the API server doesn’t know is told as missing, and found once it is there', async (t) => {
  let known = false;
  const site = await Site.start(t, (site) => {
    const list = site.list;
    site.list = (request, response) => {
      if (known) list(request, response);
      else refuse(response, 404, 'NotFound');
    };
  });
  await until('the problem', () => site.problems.length > 0);
  assert.equal(site.problems[0]!.missing, true);
  assert.equal(site.store.synced, false);
  known = true;
  await site.nthWatch(1);
  assert.deepEqual([site.names(), site.synced], [['a@5'], 1]);
});

test('a long list is read page by page; pages that grew too old are read in one', async (t) => {
  const site = await Site.start(t, (site) => {
    site.list = ({ query }, response) => {
      if (query.get('continue') === 'second') return refuse(response, 410, 'Expired');
      if (query.get('limit') !== null) return json(response, listOf('10', [mapOf('a', '1')], 'second'));
      json(response, listOf('12', [mapOf('a', '1'), mapOf('b', '2')]));
    };
  });
  const { request } = await site.nthWatch(1);
  assert.equal(request.query.get('resourceVersion'), '12');
  assert.deepEqual(site.names(), ['a@1', 'b@2']);
  assert.deepEqual(
    site.lists.map(({ query }) => [query.get('limit'), query.get('continue')]),
    [
      ['500', null],
      ['500', 'second'],
      [null, null],
    ],
  );
});

test('the list of one namespace says nothing of the others', async (t) => {
  const site = await Site.start(
    t,
    (site) => {
      site.store.put(mapOf('other', '1', 'elsewhere'));
      site.store.put(mapOf('gone', '1'));
    },
    { namespace: 'default' },
  );
  await site.nthWatch(1);
  assert.deepEqual(site.names(), ['a@5', 'other@1']);
  assert.equal(site.lists[0]!.path, '/api/v1/namespaces/default/configmaps');
});
