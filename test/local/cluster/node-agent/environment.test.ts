import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { fieldValue, resourceValue } from '../../../../local/cluster/node-agent/downward.ts';
import {
  ConfigurationError,
  containerCommand,
  containerEnvironment,
} from '../../../../local/cluster/node-agent/environment.ts';
import { expand } from '../../../../local/cluster/node-agent/expansion.ts';
import { parseQuantity } from '../../../../local/cluster/node-agent/quantity.ts';
import type { Container, Pod } from '../../../../local/cluster/node-agent/resources.ts';

// The cases of kubernetes/third_party/forked/golang/expansion/expand_test.go.
const CASES: [string, string][] = [
  ['$(VAR_A)', 'A'],
  ['___$(VAR_B)___', '___B___'],
  ['$(VAR_A)_$(VAR_B)', 'A_B'],
  ['$(VAR_DNE)', '$(VAR_DNE)'],
  ['$$(VAR_A)', '$(VAR_A)'],
  ['$$$(VAR_A)', '$A'],
  ['$$$$(VAR_A)', '$$(VAR_A)'],
  ['foo$$$(VAR_A)bar', 'foo$Abar'],
  ['$(VAR_A', '$(VAR_A'],
  ['$VAR_A', '$VAR_A'],
  ['$', '$'],
  ['$$', '$'],
  ['$(', '$('],
  ['$()', '$()'],
  ['', ''],
  ['$(VAR_REF)', '$(VAR_A)'],
];

suite('references in values, commands and arguments', () => {
  const variables = { VAR_A: 'A', VAR_B: 'B', VAR_REF: '$(VAR_A)' };
  for (const [text, expected] of CASES)
    test(JSON.stringify(text), () => assert.equal(expand(text, variables), expected));

  test('text without a dollar stays as it is', () => {
    fc.assert(fc.property(fc.string(), (text) => text.includes('$') || expand(text, variables) === text));
  });

  test('names of Object.prototype are no variables', () => {
    assert.equal(expand('$(constructor)', {}), '$(constructor)');
  });
});

suite('quantities', () => {
  for (const [text, value] of [
    ['1', 1],
    ['250m', 0.25],
    ['1.5Gi', 1.5 * 2 ** 30],
    ['2e3', 2000],
    ['1E', 1e18],
    ['.5', 0.5],
    ['64Mi', 64 * 2 ** 20],
  ] as const)
    test(text, () => assert.equal(parseQuantity(text), value));
  for (const text of ['', 'x', '1 Gi', '1Xi', 'Gi', '--1'])
    test(`${JSON.stringify(text)} is refused`, () =>
      assert.throws(() => parseQuantity(text), /no resource quantity/));
});

const place = { podIP: '198.18.1.100', hostIP: '198.18.1.1', allocatable: { cpu: '8', memory: '16Gi' } };
const container: Container = {
  name: 'c',
  image: 'i',
  resources: { limits: { cpu: '1500m' }, requests: { memory: '1Mi' } },
};
const pod: Pod = {
  metadata: { name: 'p', namespace: 'ns', uid: 'u', labels: { b: '2', a: 'say "1"\n' }, annotations: {} },
  spec: { nodeName: 'node-1', serviceAccountName: 'sa', containers: [container] },
};

suite('the Downward API', () => {
  for (const [fieldPath, value] of [
    ['metadata.name', 'p'],
    ['metadata.namespace', 'ns'],
    ['metadata.uid', 'u'],
    ["metadata.labels['b']", '2'],
    ["metadata.annotations['none']", ''],
    ['metadata.labels', 'a="say \\"1\\"\\n"\nb="2"'],
    ['metadata.annotations', ''],
    ['spec.nodeName', 'node-1'],
    ['spec.serviceAccountName', 'sa'],
    ['status.podIP', '198.18.1.100'],
    ['status.hostIP', '198.18.1.1'],
  ] as const)
    test(fieldPath, () => assert.equal(fieldValue(pod, { fieldPath }, place), value));
  test('an unknown field is named', () => {
    assert.throws(() => fieldValue(pod, { fieldPath: 'spec.nothing' }, place), /no field spec\.nothing/);
  });

  for (const [resource, divisor, value] of [
    ['limits.cpu', undefined, '2'],
    ['limits.cpu', '1m', '1500'],
    ['limits.memory', '1Mi', '16384'],
    ['requests.memory', '1Ki', '1024'],
    ['requests.cpu', '1m', '0'],
  ] as const)
    test(`${resource} by ${divisor}`, () =>
      assert.equal(resourceValue(container, { resource, ...(divisor ? { divisor } : {}) }, place), value));
});

suite('a container’s environment and command', () => {
  const objects = {
    secret: (_: string, name: string) =>
      name === 's' ? { metadata: { name, uid: '' }, data: { k: 'dg==' } } : undefined,
    configMap: (_: string, name: string) =>
      name === 'c' ? { metadata: { name, uid: '' }, data: { A: '1' } } : undefined,
  };
  const given = { image: { A: 'image' }, apiServer: { host: '10.96.0.1', port: 443 }, hostname: 'p' };
  const environment = (fields: Partial<Container>): Record<string, string> =>
    containerEnvironment(pod, { ...container, ...fields }, given, place, objects);

  test('env beats envFrom beats the image, and refers to what came before', () => {
    assert.equal(environment({})['A'], 'image');
    assert.equal(environment({ envFrom: [{ configMapRef: { name: 'c' } }] })['A'], '1');
    const env = environment({
      envFrom: [{ prefix: 'X_', secretRef: { name: 's' } }],
      env: [
        { name: 'EARLY', value: '$(LATE)' },
        { name: 'LATE', value: '$(X_k)' },
        { name: 'API', value: '$(KUBERNETES_SERVICE_HOST):$(KUBERNETES_SERVICE_PORT)' },
      ],
    });
    assert.deepEqual([env['EARLY'], env['LATE'], env['API']], ['$(LATE)', 'v', '10.96.0.1:443']);
  });

  test('what is missing is named, unless it is optional', () => {
    const ref = { name: 'none', key: 'k' };
    for (const valueFrom of [
      { secretKeyRef: ref },
      { configMapKeyRef: ref },
      { secretKeyRef: { name: 's', key: 'x' } },
    ])
      assert.throws(() => environment({ env: [{ name: 'E', valueFrom }] }), ConfigurationError);
    assert.throws(
      () => environment({ envFrom: [{ secretRef: { name: 'none' } }] }),
      /secret "none" not found/,
    );
    const optional = environment({
      env: [{ name: 'E', valueFrom: { secretKeyRef: { ...ref, optional: true } } }],
      envFrom: [{ configMapRef: { name: 'none', optional: true } }],
    });
    assert.equal('E' in optional, false);
  });

  test('command and args replace those of the image as with Docker', () => {
    const image = { command: ['run'], args: ['default'] };
    const command = (fields: Partial<Container>): string[] =>
      containerCommand({ ...container, ...fields }, image, { V: 'v' });
    assert.deepEqual(command({}), ['run', 'default']);
    assert.deepEqual(command({ args: ['$(V)'] }), ['run', 'v']);
    assert.deepEqual(command({ command: ['other'] }), ['other']);
    assert.deepEqual(command({ command: ['other'], args: ['x'] }), ['other', 'x']);
  });

  test('a program of the image is found where it is on this machine', () => {
    const image = { command: ['run'], programs: { '/bin/reload': '/cache/reload' } };
    const command = (fields: Partial<Container>): string[] =>
      containerCommand({ ...container, ...fields }, image, {});
    assert.deepEqual(command({ command: ['/bin/reload'], args: ['/bin/reload'] }), [
      '/cache/reload',
      '/bin/reload',
    ]);
    assert.deepEqual(command({}), ['run']);
  });
});
