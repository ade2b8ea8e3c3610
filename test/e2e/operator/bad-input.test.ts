import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { parse } from 'yaml';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { RelayStatus } from '../../../operator/api/status.ts';
import type { KubeObject } from '../../../operator/kube/object.ts';
import { Resources } from '../../../operator/kube/resource.ts';
import { ADMIN_TOKEN, fleetOf, giveAddress, MASTER_URL, OperatorCluster, ROOT } from './operator-cluster.ts';
import { until } from './until.ts';

const BRIEF = { sessions: { idleTimeout: '5s', leaseDuration: '10s' } };

/** A node on which nobody else is: Master counts 198.18.2.1 and 198.18.2.104 as one address. */
function alone(only: string): object {
  return {
    nodeSelector: { only },
    tolerations: [{ key: 'only', operator: 'Exists' }],
    resources: { requests: { cpu: '10m' } },
  };
}

/** Each ends in a condition and an event with what to do, harms nobody else, and heals when the cause goes. */
suite('resources that admission lets through and that cannot work', () => {
  let operator: OperatorCluster;
  let steady: readonly RelayStatus[];

  before(async () => {
    operator = await OperatorCluster.start({
      nodes: [
        { name: 'node-1', externalAddress: '198.19.0.1' },
        { name: 'node-2' },
        ...['homeless', 'crowd', 'ports', 'ports'].map((only, index) => ({
          name: `${only}-${index}`,
          labels: { only },
          taints: [{ key: 'only', value: only, effect: 'NoSchedule' }],
        })),
      ],
      // It comes back to a namespace after half of the grace of the pods that it found there.
      extraFlags: { 'kube-controller-manager': ['--namespace-sync-period=5s'] },
    });
    await Promise.all([operator.startMaster(), operator.installOperator()]);
    await operator.apply(fleetOf('steady', BRIEF));
    steady = await operator.whenServing('steady');
  });
  after(() => operator.stop());

  const deleted: string[] = [];
  const remove = async (name: string): Promise<void> => {
    deleted.push(name);
    await operator.deleteFleet(name);
  };
  const patch = (name: string, spec: object): Promise<string> =>
    operator.cluster.kubectl(['patch', `wr/${name}`, '--type=merge', `--patch=${JSON.stringify({ spec })}`]);

  suite('side by side', { concurrency: 6 }, () => {
    test('a Secret that is missing, then lacks the key', async () => {
      await operator.apply(
        fleetOf('tokens', {
          ...BRIEF,
          master: { tokenFrom: { secretKeyRef: { name: 'late', key: 'token' } } },
        }),
      );
      const missing = /spec\.master\.tokenFrom: Secret late does not exist; create it/;
      await operator.whenCondition('tokens', 'Degraded', {
        status: 'True',
        reason: 'ReferenceMissing',
        message: missing,
      });
      await operator.whenEvent('tokens', 'ReferenceMissing', missing);
      await operator.cluster.kubectl(['create', 'secret', 'generic', 'late', '--from-literal=other=x']);
      await operator.whenCondition('tokens', 'Degraded', {
        message: /has no key "token"; add it, or correct the name/,
      });
      await operator.cluster.kubectl(['patch', 'secret', 'late', '-p', '{"stringData":{"token":"t"}}']);
      await operator.whenServing('tokens');
      await operator.whenCondition('tokens', 'Degraded', { status: 'False' });
      await remove('tokens');
    });

    test('Master keys that are none', async () => {
      await operator.cluster.kubectl(['create', 'configmap', 'keys', '--from-literal=keys=not a key']);
      await operator.apply(
        fleetOf('keys', {
          ...BRIEF,
          master: { publicKeysFrom: { configMapKeyRef: { name: 'keys', key: 'keys' } } },
        }),
      );
      const message = /spec\.master\.publicKeysFrom: line 1 is no key; write 64 hex digits, or kid=hex/;
      await operator.whenCondition('keys', 'Degraded', {
        status: 'True',
        reason: 'ReferenceMissing',
        message,
      });
      await operator.whenEvent('keys', 'ReferenceMissing', message);
      const { public_key } = JSON.parse(await operator.fetch(`${MASTER_URL}/.well-known/wavry-id`)) as {
        public_key: string;
      };
      await operator.cluster.kubectl([
        'patch',
        'configmap',
        'keys',
        '-p',
        JSON.stringify({ data: { keys: public_key } }),
      ]);
      await operator.whenServing('keys');
      await remove('keys');
    });

    test('the longest name, with every object that is named after it', async () => {
      const name = 'n'.repeat(40);
      await operator.apply(
        fleetOf(name, {
          ...BRIEF,
          exposure: { type: 'NodePort' },
          pod: { nodeSelector: { 'kubernetes.io/hostname': 'node-1' } },
        }),
      );
      await operator.whenServing(name);
      await remove(name);
    });

    test('objects of others with our names stay as they are', async () => {
      const account = {
        apiVersion: 'v1',
        kind: 'ServiceAccount',
        metadata: { name: 'namesake-relay', namespace: 'default' },
      };
      await operator.apply(account);
      const before = await operator.client.get<KubeObject>(
        Resources.serviceAccounts,
        'default',
        'namesake-relay',
      );
      await operator.apply(fleetOf('namesake', BRIEF));
      const message =
        /ServiceAccount namesake-relay belongs to somebody else \(it has no owner\), so it is left alone; rename or delete it/;
      await operator.whenCondition('namesake', 'Degraded', {
        status: 'True',
        reason: 'ForeignObject',
        message,
      });
      await operator.whenEvent('namesake', 'ForeignObject', message);
      const after = await operator.client.get<KubeObject>(
        Resources.serviceAccounts,
        'default',
        'namesake-relay',
      );
      assert.equal(after.metadata.resourceVersion, before.metadata.resourceVersion);
      await operator.cluster.kubectl(['delete', 'serviceaccount', 'namesake-relay']);
      await operator.whenCondition('namesake', 'Degraded', { status: 'False' });
      const [relay] = await operator.whenServing('namesake');

      // A Deployment with the name of a relay to come: another number is taken.
      const next = relay!.name.replace(/0$/, '1');
      await operator.cluster.kubectl([
        'create',
        'deployment',
        next,
        '--image=elsewhere/app:1',
        '--replicas=0',
      ]);
      await patch('namesake', { replicas: 2 });
      const relays = await operator.whenServing('namesake');
      assert.deepEqual(
        relays.map(({ name }) => name),
        [relay!.name, relay!.name.replace(/0$/, '2')],
      );
      await remove('namesake');
      await operator.whenGone('namesake');
      assert.ok(await operator.find(Resources.deployments, 'default', next));
      await operator.cluster.kubectl(['delete', 'deployment', next]);
    });

    test('an image that never comes', async () => {
      await operator.apply(fleetOf('pictures', { ...BRIEF, image: 'ghcr.io/wavry/wavry-relay:broken' }));
      const message = /"\S+:broken" can't be pulled; correct spec\.image, or spec\.pod\.imagePullSecrets/;
      const { status } = await operator.whenCondition('pictures', 'Ready', {
        status: 'False',
        reason: 'ImageUnavailable',
        message,
      });
      await operator.whenEvent('pictures', 'ImageUnavailable', message);
      // Kubernetes says it in two ways by turns; the operator says it once.
      for (const reason of ['ImagePullBackOff', 'ErrImagePull', 'ImagePullBackOff'])
        await until(`a pod of pictures to say ${reason}`, async () => {
          const [pod] = await operator.list(Resources.pods, 'default', 'wavry.dev/fleet=pictures');
          return JSON.stringify(pod?.['status'] ?? '').includes(`"reason":"${reason}"`);
        });
      assert.deepEqual((await operator.fleet('pictures')).status, status);
      const told = await operator.events('pictures');
      assert.deepEqual(
        told.filter(({ reason }) => reason === 'ImageUnavailable').map(({ count }) => count),
        [1],
      );
      // A relay that never started holds nobody: it makes room at once.
      await patch('pictures', { image: null });
      await operator.whenServing('pictures');

      // And once it serves, a broken image leaves it serving.
      const [relay] = await operator.whenServing('pictures');
      await patch('pictures', {
        image: 'ghcr.io/wavry/wavry-relay:broken',
        exposure: { readyTimeout: '30s' },
      });
      const stuck =
        /no relay of the new revision registered within 30s, so the old one goes on serving.*Correct the spec, or set it back/;
      await operator.whenCondition('pictures', 'Progressing', {
        status: 'False',
        reason: 'ImageUnavailable',
        message: stuck,
      });
      await operator.whenEvent('pictures', 'ImageUnavailable', stuck);
      await operator.whenCondition('pictures', 'Ready', { status: 'True' });
      await patch('pictures', { image: null });
      assert.deepEqual(await operator.whenServing('pictures'), [relay]);
      await remove('pictures');
    });

    test('a load balancer that stays pending, then has a host name', async () => {
      const exposure = { type: 'LoadBalancer', serviceTemplate: { loadBalancerClass: 'example.com/nobody' } };
      await operator.apply(fleetOf('balanced', { ...BRIEF, exposure }));
      const pending = /waits for an address of its load balancer; "kubectl describe service balanced-/;
      await operator.whenCondition('balanced', 'Ready', {
        status: 'False',
        reason: 'EndpointsPending',
        message: pending,
      });
      const [service] = (
        await operator.list(Resources.services, 'default', 'wavry.dev/fleet=balanced')
      ).filter(({ metadata }) => metadata.name !== 'balanced-metrics');
      await giveAddress(operator, service!, { hostname: 'lb.invalid' });
      const nameless = /host name lb\.invalid doesn't resolve yet; peers need a numeric address/;
      await operator.whenCondition('balanced', 'Ready', {
        status: 'False',
        reason: 'EndpointsPending',
        message: nameless,
      });
      await operator.whenEvent('balanced', 'EndpointsPending', nameless);
      await giveAddress(operator, service!, { ip: '198.19.7.7' });
      const [relay] = await operator.whenServing('balanced');
      assert.equal(relay!.endpoint, '198.19.7.7:4000');
      await remove('balanced');
    });

    test('a pod that the API server refuses', async () => {
      await operator.apply(
        fleetOf('wrong', { ...BRIEF, pod: { tolerations: [{ key: 'a', operator: 'Perhaps' }] } }),
      );
      const message =
        /the API server refuses it: .*operator.*; correct the field of the spec that it comes from/s;
      await operator.whenCondition('wrong', 'Degraded', { status: 'True', reason: 'Rejected', message });
      await operator.whenEvent('wrong', 'Rejected', message);
      await patch('wrong', { pod: { tolerations: [] } });
      await operator.whenServing('wrong');
      await remove('wrong');
    });

    test('fields and values of a newer version', async () => {
      const crd = parse(readFileSync(join(ROOT, 'crds/wavryrelays.wavry.dev.yaml'), 'utf8')) as Crd;
      const { spec } = crd.spec.versions[0].schema.openAPIV3Schema.properties;
      spec.properties['tenant'] = { type: 'string' };
      spec.properties['exposure']!.properties!['type']!.enum!.push('Gateway');
      await operator.apply(crd);
      await until('the new field to be known', () =>
        operator.apply(fleetOf('newer', { ...BRIEF, tenant: 'a' })).then(() => true),
      );
      const unknown =
        /spec\.tenant means nothing to this version of the operator and has no effect: upgrade the operator, or remove it/;
      await operator.whenCondition('newer', 'Degraded', {
        status: 'True',
        reason: 'UnknownField',
        message: unknown,
      });
      await operator.whenEvent('newer', 'UnknownField', unknown);
      const relays = await operator.whenServing('newer');

      await patch('newer', { exposure: { type: 'Gateway' } });
      const unreadable =
        /this version of the operator can't work with the spec, so the relays stay as they are: spec\.exposure\.type: .*Upgrade the operator, or correct the spec/;
      await operator.whenCondition('newer', 'Degraded', {
        status: 'True',
        reason: 'UnreadableSpec',
        message: unreadable,
      });
      await operator.whenEvent('newer', 'UnreadableSpec', unreadable);
      await patch('newer', { tenant: null, exposure: { type: 'PodIP' } });
      assert.deepEqual(await operator.whenServing('newer'), relays);
      await operator.whenCondition('newer', 'Degraded', { status: 'False' });
      await remove('newer');
    });

    test('a node without the address that is asked for', async () => {
      await operator.apply(
        fleetOf('homeless', {
          ...BRIEF,
          exposure: { type: 'HostPort' },
          pod: alone('homeless'),
        }),
      );
      const message = /node homeless-0 has no ExternalIP; set spec\.exposure\.addressType to InternalIP/;
      await operator.whenCondition('homeless', 'Ready', {
        status: 'False',
        reason: 'NoNodeAddress',
        message,
      });
      await operator.whenEvent('homeless', 'NoNodeAddress', message);
      const pod = (await operator.fleet('homeless')).status?.relays?.[0]?.pod;
      await patch('homeless', { exposure: { addressType: 'InternalIP' } });
      const [relay] = await operator.whenServing('homeless');
      assert.equal(relay!.pod, pod, 'without a restart');
      assert.match(relay!.endpoint!, /^198\.18\.3\.1:40\d\d$/);
      await remove('homeless');
    });

    test('ports that are used up', async () => {
      const exposure = { type: 'HostPort', addressType: 'InternalIP', portRange: '4100-4100' };
      await operator.apply(fleetOf('ports', { ...BRIEF, replicas: 3, exposure, pod: alone('ports') }));
      const message =
        /every port of spec\.exposure\.portRange 4100-4100 is taken on every node that its relays may run on; widen it \(and your firewall\), or add nodes/;
      await operator.whenCondition('ports', 'Degraded', { status: 'True', reason: 'PortsUsedUp', message });
      await operator.whenEvent('ports', 'PortsUsedUp', message);
      await until(
        'the other two to serve',
        async () => (await operator.fleet('ports')).status?.readyReplicas === 2,
      );
      await patch('ports', { exposure: { portRange: '4100-4101' } });
      await operator.whenServing('ports');
      await operator.whenCondition('ports', 'Degraded', { status: 'False' });
      await remove('ports');
    });

    test('more than five relays at one address', async () => {
      const exposure = { type: 'HostPort', addressType: 'InternalIP', portRange: '4200-4209' };
      await operator.apply(
        fleetOf('crowd', {
          ...BRIEF,
          replicas: 6,
          exposure,
          pod: alone('crowd'),
        }),
      );
      const message =
        /Master registers at most 5 relays at one address and has 5 at 198\.18\.4\.1, all of them alive, so that none is forgotten; spread the relays over more nodes/;
      await operator.whenCondition('crowd', 'Ready', { status: 'False', reason: 'NotRegistered', message });
      await operator.whenEvent('crowd', 'NotRegistered', message);
      await operator.cluster.kubectl(['scale', 'wr/crowd', '--replicas=5']);
      await operator.whenServing('crowd');
      await remove('crowd');
    });

    test('a Master that refuses the admin token', { timeout: 400_000 }, async () => {
      const url = 'http://198.18.0.1:8081';
      await operator.startMaster(url);
      await operator.cluster.kubectl(['create', 'secret', 'generic', 'admin', '--from-literal=token=wrong']);
      await operator.apply(
        fleetOf('marks', {
          ...BRIEF,
          replicas: 2,
          drain: { timeout: '3m' },
          master: { url, adminTokenFrom: { secretKeyRef: { name: 'admin', key: 'token' } } },
        }),
      );
      await operator.whenServing('marks');
      const peers = operator.startPeers(`--master=${url}`, '--sessions=8', '--rate=10', '--duration=0');
      await until('sessions on each', async () =>
        (await operator.registry(url)).every(({ load_pct }) => load_pct > 0),
      );
      await patch('marks', { replicas: 1 });
      const message = /Master isn't told which relays drain.*HTTP status 401; check the token in the Secret/;
      await operator.whenCondition('marks', 'Degraded', {
        status: 'True',
        reason: 'MasterUnreachable',
        message,
      });
      await operator.cluster.kubectl([
        'patch',
        'secret',
        'admin',
        '-p',
        JSON.stringify({ stringData: { token: ADMIN_TOKEN } }),
      ]);
      // Secrets are read once a minute.
      await until(
        'the drain to be told',
        async () => (await operator.registry(url)).some(({ state }) => state === 'Draining'),
        150_000,
      );
      await operator.whenCondition('marks', 'Degraded', { status: 'False' });
      await peers.stop();
      await operator.whenServing('marks');
      await remove('marks');
    });
  });

  suite('in a namespace of their own', () => {
    test('a quota', async () => {
      await operator.cluster.kubectl(['create', 'namespace', 'tight']);
      await operator.cluster.kubectl([
        'create',
        'quota',
        'q',
        '--hard=count/deployments.apps=1',
        '--namespace=tight',
      ]);
      await until('the quota to be in force', async () => {
        const quota = await operator.cluster.kubectl([
          'get',
          'quota',
          'q',
          '--namespace=tight',
          '-o',
          'jsonpath={.status.hard}',
        ]);
        return quota.includes('deployments');
      });
      await operator.apply(fleetOf('cramped', { ...BRIEF, replicas: 2 }, 'tight'));
      const message =
        /exceeded quota: q.*; raise the ResourceQuota of the namespace, or ask for fewer relays/;
      await operator.whenCondition(
        'cramped',
        'Degraded',
        { status: 'True', reason: 'QuotaExceeded', message },
        'tight',
      );
      await operator.whenEvent('cramped', 'QuotaExceeded', message, 'tight');
      const events = await operator.events('cramped', 'tight');
      assert.equal(
        events.filter(({ reason }) => reason === 'RelayCreated').length,
        1,
        'only what was made is told',
      );
      await operator.cluster.kubectl([
        'patch',
        'quota',
        'q',
        '--namespace=tight',
        '-p',
        '{"spec":{"hard":{"count/deployments.apps":"5","pods":"2"}}}',
      ]);
      await operator.whenServing('cramped', 'tight');

      await operator.cluster.kubectl(['scale', 'wr/cramped', '--replicas=3', '--namespace=tight']);
      const refused = /gets no pod: .*exceeded quota: q/;
      await operator.whenCondition(
        'cramped',
        'Ready',
        { status: 'False', reason: 'PodRefused', message: refused },
        'tight',
      );
      await operator.whenEvent('cramped', 'PodRefused', refused, 'tight');
      await operator.cluster.kubectl([
        'patch',
        'quota',
        'q',
        '--namespace=tight',
        '-p',
        '{"spec":{"hard":{"pods":"9"}}}',
      ]);
      await operator.whenServing('cramped', 'tight');
    });

    test('a namespace that is being deleted', async () => {
      // The fleet of the test before. Without the controller-manager a namespace stays as it is while it is deleted.
      await operator.cluster.stopComponent('kube-controller-manager');
      await operator.cluster.kubectl(['delete', 'namespace', 'tight', '--wait=false']);
      await operator.cluster.kubectl(['scale', 'wr/cramped', '--replicas=4', '--namespace=tight']);
      const message = /the namespace is being deleted, and everything in it/;
      await operator.whenCondition(
        'cramped',
        'Degraded',
        { status: 'True', reason: 'NamespaceTerminating', message },
        'tight',
      );
      await operator.cluster.startComponent('kube-controller-manager');
      await operator.cluster.kubectl(['wait', 'namespace/tight', '--for=delete', '--timeout=90s']);
    });
  });

  test('nobody else was touched by any of it', async () => {
    assert.deepEqual(await operator.whenServing('steady'), steady);
    const events = await operator.events('steady');
    assert.deepEqual(
      events.map(({ reason, count }) => [reason, count]),
      [['RelayCreated', 1]],
    );
    const restarts = await operator.cluster.kubectl([
      'get',
      'pods',
      '-A',
      '-o',
      'jsonpath={.items[*].status.containerStatuses[*].restartCount}',
    ]);
    assert.match(restarts, /^[0 ]+$/);
    for (const name of deleted) await operator.whenGone(name);
  });
});

interface Schema {
  readonly type: string;
  readonly enum?: string[];
  readonly properties?: Record<string, Schema>;
}

interface Crd {
  readonly spec: {
    readonly versions: [
      {
        readonly schema: {
          readonly openAPIV3Schema: {
            readonly properties: { readonly spec: { readonly properties: Record<string, Schema> } };
          };
        };
      },
    ];
  };
}
