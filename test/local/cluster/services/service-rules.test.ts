import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import {
  natRules,
  type EndpointSlice,
  type Service,
} from '../../../../local/cluster/services/service-rules.ts';

const metadata = { name: 's', namespace: 'n', uid: 'u' };
const service = (spec: Partial<Service['spec']>, ip?: string): Service => ({
  metadata,
  spec: {
    clusterIP: '10.96.0.9',
    ports: [{ name: 'p', protocol: 'UDP', port: 53, nodePort: 30_000 }],
    ...spec,
  },
  ...(ip ? { status: { loadBalancer: { ingress: [{ ip }] } } } : {}),
});
const slice = (...endpoints: NonNullable<EndpointSlice['endpoints']>): EndpointSlice => ({
  metadata: { ...metadata, labels: { 'kubernetes.io/service-name': 's' } },
  addressType: 'IPv4',
  ports: [{ name: 'p', protocol: 'UDP', port: 4000 }],
  endpoints,
});
const here = { addresses: ['198.18.1.100'], nodeName: 'one', conditions: { ready: true } };
const there = { addresses: ['198.18.2.100'], nodeName: 'two', conditions: { ready: true } };
const one = { nodeName: 'one', addresses: ['198.18.1.1', '198.19.0.7'], hostPorts: [] };
const outside = { nodeName: undefined, addresses: [], hostPorts: [] };

suite('what is translated to where', () => {
  const lines = (...rules: ReturnType<typeof natRules>): string[] =>
    rules.map(
      ({ protocol, address, port, backends, masquerade }) =>
        `${protocol} ${address}:${port} → ${backends.map((to) => `${to.address}:${to.port}`).join(' ')}${masquerade ? ' masquerade' : ''}`,
    );

  test('a node port: everywhere, or only the node’s own pods', () => {
    assert.deepEqual(lines(...natRules(one, [service({ type: 'NodePort' })], [slice(here, there)])), [
      'UDP 10.96.0.9:53 → 198.18.1.100:4000 198.18.2.100:4000',
      'UDP 198.18.1.1:30000 → 198.18.1.100:4000 198.18.2.100:4000 masquerade',
      'UDP 198.19.0.7:30000 → 198.18.1.100:4000 198.18.2.100:4000 masquerade',
    ]);
    const local = service({ type: 'NodePort', externalTrafficPolicy: 'Local', clusterIP: 'None' });
    assert.deepEqual(lines(...natRules(one, [local], [slice(here, there)])), [
      'UDP 198.18.1.1:30000 → 198.18.1.100:4000',
      'UDP 198.19.0.7:30000 → 198.18.1.100:4000',
    ]);
    assert.deepEqual(natRules(one, [local], [slice(there)]), []);
  });

  test('outside of the nodes there are Service and load balancer addresses', () => {
    assert.deepEqual(
      lines(...natRules(outside, [service({ type: 'LoadBalancer' }, '198.19.200.1')], [slice(here)])),
      ['UDP 10.96.0.9:53 → 198.18.1.100:4000', 'UDP 198.19.200.1:53 → 198.18.1.100:4000'],
    );
  });

  test('unready endpoints get nothing, terminating ones only when there is no other', () => {
    const unready = { ...there, conditions: { ready: false } };
    const leaving = { ...there, conditions: { ready: false, serving: true, terminating: true } };
    const backends = (...endpoints: (typeof here)[]): string[] =>
      natRules(outside, [service({})], [slice(...endpoints)]).flatMap((rule) =>
        rule.backends.map((to) => to.address),
      );
    assert.deepEqual(backends(here, unready), ['198.18.1.100']);
    assert.deepEqual(backends(unready), []);
    assert.deepEqual(backends(here, leaving), ['198.18.1.100']);
    assert.deepEqual(backends(leaving), ['198.18.2.100']);
  });

  test('a host port: at every address of the node, or at the one it names', () => {
    const backend = { address: '198.18.1.100', port: 4000 };
    const at = (hostIP: string | undefined): string[] =>
      lines(
        ...natRules({ ...one, hostPorts: [{ protocol: 'UDP', hostIP, hostPort: 4001, backend }] }, [], []),
      );
    assert.deepEqual(at(undefined), [
      'UDP 198.18.1.1:4001 → 198.18.1.100:4000',
      'UDP 198.19.0.7:4001 → 198.18.1.100:4000',
    ]);
    assert.deepEqual(at('198.19.0.7'), ['UDP 198.19.0.7:4001 → 198.18.1.100:4000']);
  });
});
