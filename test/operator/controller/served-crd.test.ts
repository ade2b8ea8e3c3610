import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';

import { customResourceDefinition } from '../../../operator/api/crd.ts';
import { onlyKnown } from '../../../operator/api/crd-fields.ts';
import type { WavryRelayStatus } from '../../../operator/api/status.ts';
import { isFieldUnknown, ServedCrd } from '../../../operator/controller/served-crd.ts';
import { KubeError } from '../../../operator/kube/kube-error.ts';
import { json, StandInApiServer } from '../kube/stand-in-api-server.ts';
import { publishedCrd, withoutFields } from '../published-crd.ts';

const STATUS = {
  observedGeneration: 1,
  replicas: 1,
  drainingReplicas: 0,
  relays: [{ name: 'a', state: 'Serving', sessions: 2, endpoint: '10.0.0.1:4000' }],
} as unknown as WavryRelayStatus;

suite('the CRD that the API server has', () => {
  let api: StandInApiServer;
  let served: Record<string, unknown> | undefined;
  before(async () => {
    api = await StandInApiServer.start((_, response) =>
      served ? json(response, served) : json(response, { kind: 'Status', code: 503 }, 503),
    );
  });
  after(() => api.stop());

  test('is told of once when it stays older, left out of the status meanwhile, and told of when it is mended', async () => {
    const said: string[] = [];
    const timers: (() => void)[] = [];
    const crd = new ServedCrd({
      client: api.client,
      after: (ms, run) => {
        assert.equal(ms, 20_000);
        timers.push(run);
        return () => void timers.splice(timers.indexOf(run), 1);
      },
      onProblem: (message) => void said.push(message),
      onMended: (message) => void said.push(message),
    });
    assert.equal(crd.trimmed(STATUS), STATUS, 'nothing is known yet');
    served = undefined;
    await crd.look();
    assert.equal(crd.trimmed(STATUS), STATUS);

    served = publishedCrd(withoutFields(customResourceDefinition(), 'drainingReplicas', 'endpoint'));
    await crd.look();
    assert.deepEqual(said, [], 'helm may be about to upgrade it');
    assert.deepEqual(crd.trimmed(STATUS), {
      observedGeneration: 1,
      replicas: 1,
      relays: [{ name: 'a', state: 'Serving', sessions: 2 }],
    });
    await crd.look();
    await crd.look();
    assert.equal(said.length, 1);
    assert.match(said[0]!, /doesn't know status\.drainingReplicas, status\.relays\[\]\.endpoint: /);
    assert.equal(timers.length, 1);

    served = undefined;
    await crd.look();
    assert.ok(!('drainingReplicas' in crd.trimmed(STATUS)), 'what was known still holds');

    served = publishedCrd(customResourceDefinition());
    await crd.look();
    assert.match(said[1]!, /knows by now all/);
    assert.deepEqual([said.length, timers.length], [2, 0]);
    assert.deepEqual(crd.trimmed(STATUS), STATUS);

    served = publishedCrd(withoutFields(customResourceDefinition(), 'status'));
    await crd.look();
    assert.deepEqual(crd.trimmed(STATUS), {});
    crd.stop();
    assert.equal(timers.length, 0);
  });

  test('what has no fixed fields is left as it is', () => {
    const value = { labels: { a: 'b' }, list: [{ x: 1, y: 2 }], plain: [1], gone: true };
    const schema = {
      properties: { labels: {}, list: { items: { properties: { x: {} } } }, plain: { items: {} } },
    };
    assert.deepEqual(onlyKnown(value, schema), { labels: { a: 'b' }, list: [{ x: 1 }], plain: [1] });
  });

  test('a refusal for an unknown field is told from others', () => {
    const message = 'failed to create typed patch object: .status.new: field not declared in schema';
    assert.ok(isFieldUnknown(new KubeError(500, 'InternalError', message)));
    assert.ok(!isFieldUnknown(new KubeError(500, 'InternalError', 'etcd is gone')));
    assert.ok(!isFieldUnknown(new Error(message)));
  });
});
