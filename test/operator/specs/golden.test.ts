import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { test } from 'node:test';

import { stringify } from 'yaml';

import { spec as specType } from '../../../operator/api/spec.ts';
import { dashboard } from '../../../operator/specs/dashboard.ts';
import { relayDeployment } from '../../../operator/specs/deployment.ts';
import { endpointService } from '../../../operator/specs/endpoint-service.ts';
import type { Fleet } from '../../../operator/specs/fleet.ts';
import { horizontalPodAutoscaler } from '../../../operator/specs/horizontal-pod-autoscaler.ts';
import { masterKeys } from '../../../operator/specs/master-keys.ts';
import { metricsService } from '../../../operator/specs/metrics-service.ts';
import { relayName, relayOrdinal } from '../../../operator/specs/names.ts';
import { networkPolicy } from '../../../operator/specs/network-policy.ts';
import { podDisruptionBudget } from '../../../operator/specs/pod-disruption-budget.ts';
import { prometheusRule } from '../../../operator/specs/prometheus-rule.ts';
import { revisionOf } from '../../../operator/specs/revision.ts';
import { RUNBOOKS } from '../../../operator/specs/runbook.ts';
import { serviceAccount } from '../../../operator/specs/service-account.ts';
import { serviceMonitor } from '../../../operator/specs/service-monitor.ts';

const GOLDEN = new URL('golden/', import.meta.url);
const KEY = 'a'.repeat(64);

const fleets: Record<string, Record<string, unknown>> = {
  'host-port': {
    region: 'eu-west-1',
    asn: 64_500,
    size: 'Large',
    replicas: 3,
    master: {
      url: 'https://master.example.com',
      publicKeys: [KEY, `next=${KEY}`],
      tokenFrom: { secretKeyRef: { name: 'wavry-master', key: 'token' } },
    },
    limits: { ipRateLimitPps: 500 },
  },
  'host-network': {
    master: { url: 'https://master.example.com' },
    exposure: { type: 'HostNetwork', addressType: 'InternalIP' },
  },
  'load-balancer': {
    master: {
      url: 'https://master.example.com',
      publicKeysFrom: { secretKeyRef: { name: 'keys', key: 'master.keys' } },
    },
    exposure: {
      type: 'LoadBalancer',
      serviceTemplate: {
        annotations: { 'example.com/lb': 'udp' },
        labels: { team: 'games' },
        loadBalancerClass: 'example.com/lb',
      },
    },
    pod: {
      labels: { team: 'games' },
      annotations: { note: 'x' },
      nodeSelector: { pool: 'relays' },
      tolerations: [{ key: 'relays', operator: 'Exists' }],
      resources: { requests: { cpu: '100m' } },
      imagePullSecrets: [{ name: 'pull' }],
      runAsUser: 1234,
    },
    monitoring: {
      labels: { release: 'prometheus' },
      from: [
        { namespaceSelector: { matchLabels: { name: 'monitoring' } } },
        { ipBlock: { cidr: '10.0.0.0/16' } },
      ],
    },
  },
  'node-port': {
    master: { url: 'https://master.example.com' },
    exposure: { type: 'NodePort' },
    monitoring: { serviceMonitor: false, prometheusRule: false },
  },
  'pod-ip': {
    size: 'Small',
    master: { url: 'http://master:8080', allowInsecureDev: true },
    exposure: { type: 'PodIP' },
    autoscaling: { minReplicas: 2, maxReplicas: 8 },
    monitoring: { dashboard: true },
  },
  autoscaled: {
    master: { url: 'https://master.example.com' },
    autoscaling: { minReplicas: 2, maxReplicas: 20 },
  },
  'autoscaled-by-hand': {
    master: { url: 'https://master.example.com' },
    limits: { maxSessions: 10 },
    autoscaling: {
      maxReplicas: 8,
      targetSessionUtilization: 75,
      behavior: { scaleDown: { stabilizationWindowSeconds: 15 } },
    },
  },
};

for (const [name, spec] of Object.entries(fleets)) {
  test(`the objects of a ${name} fleet are those of its golden file`, () => {
    const fleet = fleetOf(spec);
    const revision = revisionOf(fleet);
    const objects = [
      serviceAccount(fleet),
      masterKeys(fleet),
      relayDeployment(fleet, { name: relayName(fleet.name, revision, 0), revision, port: 4000 }),
      endpointService(fleet, fleet.spec.exposure, {
        name: 'pod-a',
        uid: '12345678-0000-0000-0000-000000000000',
        relay: relayName(fleet.name, revision, 0),
      }),
      metricsService(fleet),
      serviceMonitor(fleet),
      prometheusRule(fleet),
      dashboard(fleet),
      podDisruptionBudget(fleet, fleet.spec.replicas),
      networkPolicy(fleet),
      horizontalPodAutoscaler(fleet),
    ].filter((object) => object !== undefined);
    const text = objects
      .map((object) => stringify(object, { lineWidth: 0, aliasDuplicateObjects: false }))
      .join('---\n');
    const file = new URL(`${name}.yaml`, GOLDEN);
    if (process.env['UPDATE_GOLDEN'] === '1') {
      mkdirSync(GOLDEN, { recursive: true });
      writeFileSync(file, text);
    }
    assert.equal(
      text,
      readFileSync(file, 'utf8'),
      'UPDATE_GOLDEN=1 writes the file anew; read the difference before you commit it',
    );
  });
}

test('whoever may reach the health port, the operator may', () => {
  const peersWith = (monitoring: object): unknown => {
    const policy = networkPolicy(fleetOf({ ...fleets['host-port'], monitoring }));
    const { ingress } = policy['spec'] as { ingress: { from?: unknown[] }[] };
    return ingress.map(({ from }) => from);
  };
  const operator = {
    namespaceSelector: {},
    podSelector: { matchLabels: { 'app.kubernetes.io/name': 'wavry-relay-operator' } },
  };
  const vpc = { ipBlock: { cidr: '10.0.0.0/16', except: ['10.0.9.0/24'] } };
  assert.deepEqual(peersWith({}), [undefined, [{ namespaceSelector: {} }]]);
  assert.deepEqual(peersWith({ from: [vpc] }), [undefined, [vpc, operator]]);
  // Kubernetes takes an empty list for everybody.
  assert.deepEqual(peersWith({ from: [] }), [undefined, [operator]]);
});

test('the revision follows what a relay can only take by starting again, and nothing else', () => {
  const spec = fleets['host-port']!;
  const revision = (change: Record<string, unknown>): string => revisionOf(fleetOf({ ...spec, ...change }));
  const same = revision({});
  assert.match(same, /^[0-9a-f]{8}$/);
  assert.equal(revision({ replicas: 9 }), same);
  assert.equal(revision({ rollout: { maxSurge: 3, paused: true } }), same);
  assert.equal(revision({ monitoring: { serviceMonitor: false } }), same);
  assert.equal(revision({ monitoring: { from: [{ ipBlock: { cidr: '10.0.0.0/16' } }] } }), same);
  assert.equal(revision({ exposure: { portRange: '5000-5009', addressType: 'InternalIP' } }), same);
  assert.equal(revision({ master: { ...(spec['master'] as object), publicKeys: ['b'.repeat(64)] } }), same);
  assert.notEqual(revision({ image: 'other:2' }), same);
  const balanced = (serviceTemplate: object): string =>
    revision({ exposure: { type: 'LoadBalancer', serviceTemplate } });
  assert.equal(balanced({ annotations: { a: 'b' } }), balanced({}));
  assert.notEqual(balanced({ loadBalancerClass: 'metallb.io/metallb' }), balanced({}));
  assert.notEqual(revision({ restartedAt: '2026-01-01T00:00:00Z' }), same);
  assert.notEqual(revision({ size: 'Small' }), same);
  assert.notEqual(revision({ drain: { timeout: '2h' } }), same);
});

test('a relay name gives its ordinal back, and other names give none', () => {
  assert.equal(relayOrdinal('games', relayName('games', '0123abcd', 17)), 17);
  for (const name of [
    'games-0123abcd-017',
    'games-0123abcd',
    'games-0123abcg-1',
    'other-0123abcd-1',
    'games-x-0123abcd-1',
  ]) {
    assert.equal(relayOrdinal('games', name), undefined, name);
  }
});

test('names of the longest fleet stay within what Kubernetes allows', () => {
  const relay = relayName('f'.repeat(40), '0123abcd', 9999);
  assert.ok(`${relay}-12345678`.length <= 63, 'a Service is a DNS label');
});

function fleetOf(spec: Record<string, unknown>): Fleet {
  return {
    name: 'games',
    namespace: 'wavry',
    uid: '00000000-0000-0000-0000-00000000000f',
    spec: specType.parse(spec),
    defaultImage: 'ghcr.io/wavry/wavry-relay:0.1.0',
    runbooks: RUNBOOKS,
  };
}
