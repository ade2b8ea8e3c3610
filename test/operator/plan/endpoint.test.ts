import assert from 'node:assert/strict';
import { suite, test } from 'node:test';

import fc from 'fast-check';

import { type EndpointDecision, endpointOf, MOST_ENDPOINTS } from '../../../operator/plan/endpoint.ts';
import { viewRelays } from '../../../operator/plan/relay-view.ts';
import type { World } from '../../../operator/plan/world.ts';
import { ModelCluster } from './model-cluster.ts';

/** Endpoints of the only relay of a fleet behind a load balancer with these addresses. */
function behindLoadBalancer(addresses: readonly string[]): readonly string[] {
  const world = worldOf({ type: 'LoadBalancer' });
  const [view] = viewRelays(world);
  const service = { name: 'games-0', nodePort: undefined, addresses, problem: undefined };
  const decided = endpointOf(
    { ...world, endpointServices: new Map([[view!.pod!.uid, service as never]]) },
    view!,
  );
  assert.ok('endpoints' in decided, JSON.stringify(decided));
  return decided.endpoints;
}

function worldOf(exposure: Record<string, unknown>): World {
  const cluster = new ModelCluster({ master: { url: 'https://master.example.com' }, replicas: 1, exposure });
  cluster.step();
  cluster.advance(5000);
  return cluster.world();
}

const v4 = (count: number): string[] => Array.from({ length: count }, (_, n) => `203.0.113.${n + 1}`);
const v6 = (count: number): string[] => Array.from({ length: count }, (_, n) => `2001:db8::${n + 1}`);

test('a few addresses all become endpoints, IPv4 first, each once', () => {
  assert.deepEqual(behindLoadBalancer(['2001:db8::1', '203.0.113.2', '203.0.113.1', '203.0.113.2']), [
    '203.0.113.2:4000',
    '203.0.113.1:4000',
    '[2001:db8::1]:4000',
  ]);
});

test('of too many addresses each family keeps its first', () => {
  const texts = (fours: number, sixes: number): string[] => [
    ...v4(fours).map((ip) => `${ip}:4000`),
    ...v6(sixes).map((ip) => `[${ip}]:4000`),
  ];
  assert.deepEqual(behindLoadBalancer([...v6(20), ...v4(20)]), texts(4, 4));
  assert.deepEqual(behindLoadBalancer([...v6(2), ...v4(20)]), texts(6, 2));
  assert.deepEqual(behindLoadBalancer([...v6(20), ...v4(1)]), texts(1, 7));
  assert.deepEqual(behindLoadBalancer(v4(20)), texts(8, 0));
  assert.deepEqual(behindLoadBalancer(v6(20)), texts(0, 8));
});

test('whatever the addresses, a relay gets as many as it takes and none twice', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.ipV4(), fc.ipV6()), { minLength: 1, maxLength: 30 }), (addresses) => {
      const endpoints = behindLoadBalancer(addresses);
      const distinct = new Set(addresses).size;
      assert.equal(endpoints.length, Math.min(distinct, MOST_ENDPOINTS));
      assert.equal(new Set(endpoints).size, endpoints.length);
      const firstSix = endpoints.findIndex((endpoint) => endpoint.startsWith('['));
      if (firstSix >= 0) assert.ok(endpoints.slice(firstSix).every((endpoint) => endpoint.startsWith('[')));
      const has = (six: boolean, list: readonly string[]): boolean =>
        list.some((text) => text.startsWith('[') === six);
      for (const six of [true, false]) {
        const given = addresses.some((address) => address.includes(':') === six);
        assert.equal(has(six, endpoints), given);
      }
    }),
  );
});

test('a node with many addresses of the asked type gives as many as a relay takes', () => {
  const world = worldOf({ type: 'HostPort', addressType: 'ExternalIP' });
  const [view] = viewRelays(world);
  const nodes = new Map([...world.nodes].map(([name, node]) => [name, { ...node, externalIPs: v4(12) }]));
  const decided = endpointOf({ ...world, nodes }, view!);
  assert.ok('endpoints' in decided && decided.endpoints.length === MOST_ENDPOINTS);
});

suite('a node with addresses of both families', () => {
  const of = (exposure: Record<string, unknown>, addresses: readonly string[]): EndpointDecision => {
    const world = worldOf(exposure);
    const nodes = new Map(
      [...world.nodes].map(([name, node]) => [
        name,
        { ...node, internalIPs: addresses, externalIPs: addresses },
      ]),
    );
    const [view] = viewRelays(world);
    const service = { name: 'games-0', nodePort: 31_000, addresses: [], problem: undefined };
    return endpointOf(
      { ...world, nodes, endpointServices: new Map([[view!.pod!.uid, service as never]]) },
      view!,
    );
  };

  for (const [type, port] of [
    ['HostPort', 4000],
    ['HostNetwork', 4000],
    ['NodePort', 31_000],
  ] as const) {
    test(`gives the IPv4 one with ${type}: relays listen on 0.0.0.0`, () => {
      assert.deepEqual(of({ type }, ['2001:db8::1', '192.0.2.1']), { endpoints: [`192.0.2.1:${port}`] });
    });
  }

  test('of which it lacks IPv4 is said so, with what to do', () => {
    assert.deepEqual(of({ type: 'HostPort' }, ['2001:db8::1']), {
      reason: 'NoNodeAddress',
      message:
        'node node-c has no IPv4 ExternalIP, and relays listen on IPv4 only; set spec.exposure.addressType to InternalIP if peers can reach its internal address, or use another exposure',
    });
    assert.match(JSON.stringify(of({ type: 'HostPort' }, [])), /"node node-c has no ExternalIP; set/);
  });
});
