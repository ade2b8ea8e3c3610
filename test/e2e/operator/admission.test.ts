import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';

import { customResourceDefinition } from '../../../operator/api/crd.ts';
import { Resources } from '../../../operator/kube/resource.ts';
import { OperatorCluster, ROOT } from './operator-cluster.ts';

const KEY = 'a1'.repeat(32);
const MASTER = { url: 'https://master.example.com' };

/** What each rule refuses, with the words that tell what to write instead; and what it lets through. */
const RULES: readonly {
  readonly rule: string;
  readonly message: string;
  readonly refused: readonly object[];
  readonly accepted: readonly object[];
}[] = [
  {
    rule: 'the Master’s URL',
    message: 'must be an absolute http or https URL, such as "https://master.wavry.dev"',
    refused: [
      { master: { url: 'master.example.com' } },
      { master: { url: 'ftp://master.example.com' } },
      { master: { url: '/relative' } },
      { master: { url: 'https://' } },
    ],
    accepted: [
      { master: { url: 'http://10.0.0.1:8080' } },
      { master: { url: 'https://m.example.com/base' } },
    ],
  },
  {
    rule: 'nothing in the Master’s URL that a relay refuses',
    message: 'must hold no user, query or fragment; a token goes into a Secret, named by tokenFrom',
    refused: [
      { master: { url: 'https://user@master.example.com' } },
      { master: { url: 'https://master.example.com/?token=x' } },
      { master: { url: 'https://master.example.com/#top' } },
    ],
    accepted: [{ master: { url: 'https://master.example.com/' } }],
  },
  {
    rule: 'Master keys',
    message: 'each key must be 64 hex digits, or a key id, "=" and 64 hex digits: kid=hex',
    refused: [
      { master: { ...MASTER, publicKeys: ['abc'] } },
      { master: { ...MASTER, publicKeys: [KEY, `${KEY}0`] } },
      { master: { ...MASTER, publicKeys: [` kid=${KEY}`] } },
      { master: { ...MASTER, publicKeys: [`#kid=${KEY}`] } },
      { master: { ...MASTER, publicKeys: [`k\nid=${KEY}`] } },
      { master: { ...MASTER, publicKeys: [`=${KEY}`] } },
    ],
    accepted: [
      { master: { ...MASTER, publicKeys: [KEY, KEY.toUpperCase(), `next:2026.1=${KEY}`] } },
      { master: { ...MASTER, publicKeys: [`a b=ü==${KEY}`, `${'k'.repeat(128)}=${KEY}`] } },
    ],
  },
  {
    rule: 'one source of keys',
    message: 'name either configMapKeyRef or secretKeyRef',
    refused: [
      { master: { ...MASTER, publicKeysFrom: {} } },
      {
        master: {
          ...MASTER,
          publicKeysFrom: {
            configMapKeyRef: { name: 'a', key: 'k' },
            secretKeyRef: { name: 'a', key: 'k' },
          },
        },
      },
    ],
    accepted: [{ master: { ...MASTER, publicKeysFrom: { secretKeyRef: { name: 'a', key: 'k' } } } }],
  },
  {
    rule: 'keys or where they come from',
    message: 'give publicKeys or publicKeysFrom, not both',
    refused: [
      {
        master: {
          ...MASTER,
          publicKeys: [KEY],
          publicKeysFrom: { configMapKeyRef: { name: 'a', key: 'k' } },
        },
      },
    ],
    accepted: [{ master: { ...MASTER, publicKeysFrom: { configMapKeyRef: { name: 'a', key: 'k' } } } }],
  },
  {
    rule: 'port range',
    message: 'must be first-last with 1024 <= first <= last <= 65535, such as "4000-4015"',
    refused: ['80-90', '5000-4000', '4000-70000', '4000', '4000:4015', 'a-b'].map((portRange) => ({
      exposure: { portRange },
    })),
    accepted: ['4000-4000', '1024-65535'].map((portRange) => ({ exposure: { portRange } })),
  },
  {
    rule: 'readyTimeout',
    message: 'must be a duration from 30s to 24h, such as "30s"',
    refused: [{ exposure: { readyTimeout: '1s' } }, { exposure: { readyTimeout: '25h' } }],
    accepted: [{ exposure: { readyTimeout: '1h30m' } }],
  },
  {
    rule: 'serviceTemplate',
    message: 'serviceTemplate goes with type LoadBalancer or NodePort only; remove it or change the type',
    refused: ['HostPort', 'HostNetwork', 'PodIP'].map((type) => ({
      exposure: { type, serviceTemplate: { annotations: { a: 'b' } } },
    })),
    accepted: ['LoadBalancer', 'NodePort'].map((type) => ({
      exposure: { type, serviceTemplate: { annotations: { a: 'b' } } },
    })),
  },
  {
    rule: 'loadBalancerClass',
    message: 'loadBalancerClass goes with type LoadBalancer only; remove it or change the type',
    refused: [
      { exposure: { type: 'NodePort', serviceTemplate: { loadBalancerClass: 'metallb.io/metallb' } } },
    ],
    accepted: [
      { exposure: { type: 'LoadBalancer', serviceTemplate: { loadBalancerClass: 'metallb.io/metallb' } } },
    ],
  },
  {
    rule: 'addressType',
    message:
      'addressType chooses among a node’s addresses and goes with HostPort, HostNetwork or NodePort only; remove it or change the type',
    refused: ['LoadBalancer', 'PodIP'].map((type) => ({ exposure: { type, addressType: 'InternalIP' } })),
    accepted: ['HostPort', 'HostNetwork', 'NodePort'].map((type) => ({
      exposure: { type, addressType: 'InternalIP' },
    })),
  },
  {
    rule: 'insecure development',
    message:
      'master.allowInsecureDev lets anybody use the relays, so it goes with exposure.type PodIP only; remove it, or change the exposure',
    refused: ['HostPort', 'HostNetwork', 'LoadBalancer', 'NodePort'].map((type) => ({
      master: { ...MASTER, allowInsecureDev: true },
      exposure: { type },
    })),
    accepted: [
      { master: { ...MASTER, allowInsecureDev: true }, exposure: { type: 'PodIP' } },
      { master: { ...MASTER, allowInsecureDev: false } },
    ],
  },
  {
    rule: 'idleTimeout',
    message: 'must be a duration from 5s to 24h, such as "5s"',
    refused: [{ sessions: { idleTimeout: '0s' } }, { sessions: { idleTimeout: '4999ms' } }],
    accepted: [{ sessions: { idleTimeout: '5s' } }],
  },
  {
    rule: 'leaseDuration',
    message: 'must be a duration from 10s to 24h, such as "10s"',
    refused: [{ sessions: { leaseDuration: '9s' } }],
    accepted: [{ sessions: { leaseDuration: '24h' } }],
  },
  {
    rule: 'drain.timeout',
    message: 'must be a duration from 0s to 168h, such as "0s"',
    refused: ['169h', '90', '1d', '-5s', 'soon'].map((timeout) => ({ drain: { timeout } })),
    accepted: [{ drain: { timeout: '0s' } }, { drain: { timeout: '168h' } }],
  },
  {
    rule: 'region',
    message:
      'must be at most 64 letters, digits, ".", "_" and "-", the first a letter or digit, such as "us-east-1"',
    refused: [{ region: 'us east' }, { region: '-east' }, { region: '' }],
    accepted: [{ region: 'us-east-1' }, { region: '2.north_A' }],
  },
  {
    rule: 'surge and what may be missing',
    message: 'must be a number of relays or a percentage from 0% to 100%, such as 1 or "25%"',
    refused: ['10 percent', '101%', '-1', -1].flatMap((value) => [
      { rollout: { maxSurge: value } },
      { rollout: { maxUnavailable: value } },
    ]),
    accepted: [0, 3, '3', '0%', '100%'].map((value) => ({
      rollout: { maxSurge: value, maxUnavailable: value },
    })),
  },
  {
    rule: 'names of Secrets and ConfigMaps',
    message: 'must be the name of an object: lower-case letters, digits, "-" and ".", such as "wavry-master"',
    refused: ['My-Secret', 'a_b', '-a', 'a.'].map((name) => ({
      master: { ...MASTER, tokenFrom: { secretKeyRef: { name, key: 'k' } } },
    })),
    accepted: [{ master: { ...MASTER, tokenFrom: { secretKeyRef: { name: 'a.b-c', key: 'k' } } } }],
  },
  {
    rule: 'keys of Secrets and ConfigMaps',
    message: 'must be a key of letters, digits, "-", "_" and ".", such as "token"',
    refused: ['my key', 'a/b'].map((key) => ({
      master: { ...MASTER, publicKeysFrom: { configMapKeyRef: { name: 'a', key } } },
    })),
    accepted: [
      { master: { ...MASTER, publicKeysFrom: { configMapKeyRef: { name: 'a', key: 'Keys_1.txt' } } } },
    ],
  },
  {
    rule: 'who may reach the health port',
    message: 'name either ipBlock, or namespaceSelector, podSelector or both',
    refused: [
      { monitoring: { from: [{}] } },
      { monitoring: { from: [{ namespaceSelector: {}, ipBlock: { cidr: '10.0.0.0/8' } }] } },
    ],
    accepted: [
      { monitoring: { from: [] } },
      {
        monitoring: {
          from: [
            { namespaceSelector: {}, podSelector: { matchLabels: { app: 'prometheus' } } },
            { podSelector: { matchExpressions: [{ key: 'app', operator: 'In', values: ['a', 'b'] }] } },
          ],
        },
      },
    ],
  },
  {
    rule: 'addresses that may reach the health port',
    message: 'must be an address and the length of its prefix, such as "10.0.0.0/8"',
    refused: ['10.0.0.7', 'the VPC', '10.0.0.0/33'].map((cidr) => ({
      monitoring: { from: [{ ipBlock: { cidr } }] },
    })),
    accepted: ['10.0.0.7/32', 'fd00::/8'].map((cidr) => ({
      monitoring: { from: [{ ipBlock: { cidr, except: [cidr === 'fd00::/8' ? 'fd00:1::/32' : cidr] } }] },
    })),
  },
  {
    rule: 'bounds of the autoscaler',
    message: 'minReplicas must not be larger than maxReplicas',
    refused: [{ autoscaling: { minReplicas: 3, maxReplicas: 2 } }],
    accepted: [
      { autoscaling: { minReplicas: 2, maxReplicas: 2 } },
      // Replicas out of bounds are a message, not a refusal: kubectl scale has to work.
      { replicas: 9, autoscaling: { maxReplicas: 2 } },
    ],
  },
];

/** Refused by the schema itself. */
const SCHEMA: readonly { readonly what: string; readonly spec: object; readonly message: RegExp }[] = [
  { what: 'no Master', spec: { master: undefined }, message: /spec\.master: Required value/ },
  {
    what: 'an unknown size',
    spec: { size: 'Huge' },
    message: /supported values: "Small", "Medium", "Large", "XLarge"/,
  },
  {
    what: 'an unknown exposure',
    spec: { exposure: { type: 'Ingress' } },
    message: /supported values: "HostPort"/,
  },
  {
    what: 'negative replicas',
    spec: { replicas: -1 },
    message: /spec\.replicas.*greater than or equal to 0/,
  },
  {
    what: 'too many relays',
    spec: { replicas: 1001 },
    message: /spec\.replicas.*less than or equal to 1000/,
  },
  {
    what: 'no least relay',
    spec: { autoscaling: { minReplicas: 0, maxReplicas: 2 } },
    message: /minReplicas/,
  },
  { what: 'a time that is none', spec: { restartedAt: 'now' }, message: /restartedAt/ },
  { what: 'a typo', spec: { replica: 2 }, message: /unknown field "spec\.replica"/ },
];

suite('what admission refuses, and what it says', () => {
  let operator: OperatorCluster;
  before(async () => {
    operator = await OperatorCluster.start({ nodes: [] });
    await operator.cluster.kubectl(['apply', '-f', join(ROOT, 'crds/wavryrelays.wavry.dev.yaml')]);
    await operator.cluster.kubectl([
      'wait',
      '--for=condition=Established',
      'crd/wavryrelays.wavry.dev',
      '--timeout=30s',
    ]);
  });
  after(() => operator.stop());

  const create = (name: string, spec: object): Promise<unknown> =>
    operator.client.create(
      Resources.wavryRelays,
      'default',
      {
        apiVersion: 'wavry.dev/v1alpha1',
        kind: 'WavryRelay',
        metadata: { name },
        spec: { master: MASTER, ...spec },
      },
      { query: { dryRun: 'All', fieldValidation: 'Strict' } },
    );

  for (const { rule, message, refused, accepted } of RULES) {
    test(rule, async () => {
      for (const spec of refused) {
        const error = await create('fleet', spec).then(
          () => assert.fail(`let through: ${JSON.stringify(spec)}`),
          (error: Error) => error,
        );
        assert.ok(error.message.includes(message), `${JSON.stringify(spec)}: ${error.message}`);
      }
      for (const spec of accepted) await create('fleet', spec);
    });
  }

  test('a name has to begin with a letter, and leaves room for what is made of it', async () => {
    const hint = /must start with a letter and hold only lower-case letters, digits and "-"/;
    for (const name of ['1st', 'a.b']) await assert.rejects(create(name, {}), hint);
    await assert.rejects(create('a'.repeat(41), {}), /Too long: may not be more than 40/);
    await create('a'.repeat(40), {});
  });

  for (const { what, spec, message } of SCHEMA) {
    test(`${what} is refused`, () => assert.rejects(create('fleet', spec), message));
  }

  test('every rule of the CRD has its case here', () => {
    const cases = new Set(RULES.map(({ message }) => message));
    const missing = [...messages(customResourceDefinition())].filter(
      (message) => !cases.has(message) && !message.startsWith('the name must'),
    );
    assert.deepEqual(missing, []);
  });

  test('what a person leaves out is filled in', async () => {
    const { spec } = (await create('fleet', {})) as { spec: object };
    assert.deepEqual(spec, {
      master: MASTER,
      size: 'Medium',
      replicas: 1,
      exposure: { type: 'HostPort', portRange: '4000-4015', readyTimeout: '10m' },
      sessions: { idleTimeout: '60s', leaseDuration: '300s', renewOnTraffic: true },
      drain: { timeout: '1h' },
      rollout: { maxSurge: 1, maxUnavailable: 0, paused: false },
      monitoring: { dashboard: false },
    });
  });
});

/** The messages of all validation rules. */
function* messages(schema: unknown): Generator<string> {
  if (typeof schema !== 'object' || schema === null) return;
  for (const [field, value] of Object.entries(schema)) {
    if (field === 'x-kubernetes-validations') {
      for (const rule of value as { message: string }[]) yield rule.message;
    } else yield* messages(value);
  }
}
