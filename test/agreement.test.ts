import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';

import { Annotation } from '../operator/api/meta.ts';
import { spec as specType } from '../operator/api/spec.ts';
import { readRefusals } from '../operator/fleet/counters-answer.ts';
import { readHealthAnswer } from '../operator/fleet/health-answer.ts';
import { MOST_ENDPOINTS } from '../operator/plan/endpoint.ts';
import { healthPort, relayDeployment } from '../operator/specs/deployment.ts';
import type { Fleet } from '../operator/specs/fleet.ts';
import { masterKeys } from '../operator/specs/master-keys.ts';
import { relayName } from '../operator/specs/names.ts';
import { revisionOf } from '../operator/specs/revision.ts';
import type { Config } from '../relay/config/config.ts';
import { OPTION_ROWS } from '../relay/config/options.ts';
import { parseCommandLine } from '../relay/config/parse.ts';
import { systemClock } from '../relay/control/clock.ts';
import { ControlDirectory } from '../relay/control/control-directory.ts';
import { MAX_ENDPOINTS, parseEndpoints } from '../relay/control/endpoints.ts';
import { healthAnswer } from '../relay/control/health-answers.ts';
import { MasterKeys } from '../relay/control/master-keys.ts';
import { metricsJson, takeMoment } from '../relay/control/metrics.ts';
import type { RelayStatus } from '../relay/control/relay-status.ts';
import { startingStatus } from '../relay/control/relay-status.ts';
import { Counter } from '../relay/pipeline/counters.ts';
import { servingRelay } from './relay/control/health-fixture.ts';
import { LogLines } from './relay/control/log-lines.ts';
import { waitUntil } from './relay/control/wait-until.ts';
import { ALPHA, BETA } from './relay/lease/leases.ts';

/**
 * What relay and operator agree on (the table in ARCHITECTURE.md). Neither imports the other, so this is where one side's
 * output becomes the other's input.
 */

const POD_UID = '6f9f1c0e-9d6c-4f3e-8d57-3f3a1f0f3b6a';
const POD_IP = '10.244.1.7';
const MASTER = { url: 'https://master.example.com' };

function fleetOf(spec: Record<string, unknown>): Fleet {
  return {
    name: 'games',
    namespace: 'wavry',
    uid: '00000000-0000-0000-0000-00000000000f',
    spec: specType.parse(spec),
    defaultImage: 'ghcr.io/wavry/wavry-relay:0.1.0',
    runbooks: '',
  };
}

interface Rendered {
  readonly template: { readonly spec: PodSpec };
}

interface PodSpec {
  readonly containers: readonly [RelayContainer];
  readonly volumes: readonly { readonly name: string; readonly downwardAPI?: DownwardApi }[];
}

interface RelayContainer {
  readonly args: readonly string[];
  readonly env: readonly {
    readonly name: string;
    readonly value?: string;
    readonly valueFrom?: { readonly fieldRef: { readonly fieldPath: string } };
  }[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
}

interface DownwardApi {
  readonly items: readonly { readonly path: string; readonly fieldRef: { readonly fieldPath: string } }[];
}

/** The pod that the operator's Deployment makes. */
function podOf(fleet: Fleet, port = 4000): PodSpec {
  const revision = revisionOf(fleet);
  const deployment = relayDeployment(fleet, { name: relayName(fleet.name, revision, 0), revision, port });
  return (deployment['spec'] as Rendered).template.spec;
}

/** What the relay makes of its container, started as the kubelet does: fields filled in, `$(NAME)` in arguments replaced. */
function startedRelay(pod: PodSpec, podIp: string = POD_IP): { config: Config; warnings: readonly string[] } {
  const [container] = pod.containers;
  const fields: Record<string, string> = { 'metadata.uid': POD_UID, 'status.podIP': podIp };
  const env = Object.fromEntries(
    container.env.map(({ name, value, valueFrom }) => [
      name,
      value ?? fields[valueFrom!.fieldRef.fieldPath] ?? assert.fail(`no such field: ${name}`),
    ]),
  );
  const args = container.args.map((argument) =>
    argument.replaceAll(/\$\(([A-Za-z0-9_]+)\)/g, (reference, name: string) => env[name] ?? reference),
  );
  const commandLine = parseCommandLine(args, env, { workers: 3, memoryMib: 0 });
  assert.ok(commandLine.kind === 'run');
  return commandLine;
}

const EXPOSURES = ['HostPort', 'HostNetwork', 'LoadBalancer', 'NodePort', 'PodIP'] as const;

for (const type of EXPOSURES) {
  test(`the relay takes the command line of a ${type} fleet without a word`, () => {
    const fleet = fleetOf({ master: MASTER, exposure: { type } });
    const port = type === 'HostPort' || type === 'HostNetwork' ? 4015 : 4000;
    const pod = podOf(fleet, port);
    const { config, warnings } = startedRelay(pod);
    assert.deepEqual(warnings, []);
    assert.deepEqual(config.listen, { host: '0.0.0.0', port, family: 4 });
    const health = healthPort(fleet, { name: 'x', revision: 'x', port });
    assert.deepEqual(config.healthListen, { host: '::', port: health, family: 6 });
    const ports = Object.fromEntries(
      pod.containers[0].ports.map(({ name, containerPort }) => [name, containerPort]),
    );
    assert.deepEqual(ports, { relay: config.listen.port, health: config.healthListen.port });
    assert.equal(config.relayId, POD_UID);
    assert.equal(config.masterUrl.href, 'https://master.example.com/');
    assert.equal(config.allowInsecureDev, false);
    assert.equal(config.logFormat, 'json');
  });
}

test('what the spec leaves out is the same on both sides: the relay keeps its own defaults', () => {
  const { config } = startedRelay(podOf(fleetOf({ master: MASTER })));
  const bare = parseCommandLine(['--listen=127.0.0.1:1'], {}, { workers: 3, memoryMib: 0 });
  assert.ok(bare.kind === 'run');
  const alone = bare.config;
  for (const key of [
    'idleTimeoutMs',
    'leaseDurationMs',
    'renewOnTraffic',
    'rebindOnForward',
    'ipRateLimitPps',
    'identityRateLimitPps',
    'loadShedThresholdPct',
    'maxBitrateKbps',
    'maxSessions',
    'drainTimeoutMs',
    'cleanupIntervalMs',
    'packetQueueCapacity',
  ] as const) {
    assert.equal(config[key], alone[key], key);
  }
});

for (const [size, workers, maxSessions, maxThroughputMbps] of [
  ['Small', 1, 50, 500],
  ['Medium', 2, 100, 2000],
  ['Large', 4, 250, 5000],
  ['XLarge', 4, 500, 10_000],
] as const) {
  test(`size ${size} reaches the relay`, () => {
    const { config, warnings } = startedRelay(podOf(fleetOf({ master: MASTER, size })));
    assert.deepEqual(warnings, []);
    assert.deepEqual(
      [config.workers, config.maxSessions, config.maxThroughputMbps],
      [workers, maxSessions, maxThroughputMbps],
    );
  });
}

const LEAST = {
  limits: {
    maxSessions: 1,
    maxThroughputMbps: 1,
    ipRateLimitPps: 1,
    identityRateLimitPps: 1,
    loadShedThresholdPct: 50,
    maxBitrateKbps: 10_000,
  },
  sessions: { idleTimeout: '5s', leaseDuration: '10s', renewOnTraffic: false },
  drain: { timeout: '0s' },
  asn: 1,
  region: 'a',
};

const MOST = {
  limits: {
    maxSessions: 100_000,
    maxThroughputMbps: 1_000_000,
    ipRateLimitPps: 10_000_000,
    identityRateLimitPps: 10_000_000,
    loadShedThresholdPct: 100,
    maxBitrateKbps: 2_000_000_000,
  },
  sessions: { idleTimeout: '24h', leaseDuration: '24h' },
  drain: { timeout: '168h' },
  asn: 4_294_967_295,
  region: 'a'.repeat(64),
};

for (const [name, spec, seconds] of [
  ['least', LEAST, { idle: 5, lease: 10, drain: 0 }],
  ['most', MOST, { idle: 86_400, lease: 86_400, drain: 604_800 }],
] as const) {
  test(`the ${name} that the CRD allows is within what the relay takes, without being moved`, () => {
    const { config, warnings } = startedRelay(podOf(fleetOf({ master: MASTER, ...spec })));
    assert.deepEqual(warnings, []);
    const { limits } = spec;
    assert.deepEqual(
      { ...limits },
      {
        maxSessions: config.maxSessions,
        maxThroughputMbps: config.maxThroughputMbps,
        ipRateLimitPps: config.ipRateLimitPps,
        identityRateLimitPps: config.identityRateLimitPps,
        loadShedThresholdPct: config.loadShedThresholdPct,
        maxBitrateKbps: config.maxBitrateKbps,
      },
    );
    assert.deepEqual(
      [config.idleTimeoutMs, config.leaseDurationMs, config.drainTimeoutMs],
      [seconds.idle * 1000, seconds.lease * 1000, seconds.drain * 1000],
    );
    assert.equal(config.renewOnTraffic, name === 'most');
    assert.deepEqual([config.asn, config.region], [spec.asn, spec.region]);
  });
}

test('durations of Go reach the relay in whole seconds, rounded up', () => {
  const sessions = { idleTimeout: '5001ms', leaseDuration: '1h0m0.5s' };
  const { config } = startedRelay(podOf(fleetOf({ master: MASTER, sessions, drain: { timeout: '1m30s' } })));
  assert.deepEqual(
    [config.idleTimeoutMs, config.leaseDurationMs, config.drainTimeoutMs],
    [6000, 3_601_000, 90_000],
  );
});

test('an insecure development fleet starts: the relay listens on the pod’s own address', () => {
  const pod = podOf(
    fleetOf({
      master: { url: 'http://master:8080', allowInsecureDev: true },
      exposure: { type: 'PodIP' },
    }),
  );
  for (const [host, family] of [
    [POD_IP, 4],
    ['fd00:10:244::7', 6],
  ] as const) {
    const { config, warnings } = startedRelay(pod, host);
    assert.deepEqual(warnings, []);
    assert.equal(config.allowInsecureDev, true);
    assert.deepEqual(config.listen, { host, port: 4000, family });
  }
});

test('the operator gives a relay as many endpoints as it takes', () => {
  assert.equal(MOST_ENDPOINTS, MAX_ENDPOINTS);
});

test('no variable of the pod is one that the relay takes for a slip, and each flag is one of its own names', () => {
  const known = new Set(OPTION_ROWS.map(([, { flag }]) => flag));
  const pod = podOf(
    fleetOf({
      ...MOST,
      master: {
        ...MASTER,
        publicKeys: [ALPHA.hex],
        tokenFrom: { secretKeyRef: { name: 'wavry-master', key: 'token' } },
      },
    }),
  );
  for (const argument of pod.containers[0].args) {
    const flag = /^--([a-z-]+)=/.exec(argument)?.[1];
    assert.ok(flag !== undefined && known.has(flag), argument);
  }
});

test('files are where the pod mounts them', () => {
  const pod = podOf(
    fleetOf({
      master: {
        ...MASTER,
        publicKeys: [ALPHA.hex],
        tokenFrom: { secretKeyRef: { name: 'wavry-master', key: 'token' } },
      },
    }),
  );
  const { config } = startedRelay(pod);
  const mounts = pod.containers[0].volumeMounts.map(({ mountPath }) => mountPath);
  for (const path of [config.controlDir, config.stateDir]) assert.ok(mounts.includes(path!), String(path));
  assert.ok(mounts.some((mount) => config.masterKeysFile === `${mount}/keys`));
  assert.ok(mounts.some((mount) => config.masterTokenFile === `${mount}/token`));
});

const STATUSES: Record<string, Partial<RelayStatus>> = {
  starting: { ...startingStatus(POD_UID) },
  'starting, waiting for a reason': {
    state: 'starting',
    ready: false,
    notReadyReason: 'no answer from Master at http://master:8080 yet',
    registered: false,
    endpoints: [],
  },
  serving: {},
  'serving with addresses of both families': { endpoints: ['192.0.2.1:4000', '[2001:db8::1]:4000'] },
  'not ready, though registered': {
    ready: false,
    notReadyReason: 'Master signs with key k2, which is not pinned',
  },
  draining: { state: 'draining', draining: true, ready: false, notReadyReason: 'draining' },
  drained: { state: 'drained', draining: true, ready: false, notReadyReason: 'draining' },
  'dead data plane': {
    healthy: false,
    unhealthyReason: 'packet worker 0 has stopped turning',
    ready: false,
    notReadyReason: 'packet worker 0 has stopped turning',
  },
};

for (const [name, change] of Object.entries(STATUSES)) {
  test(`the operator reads /health of a relay as it is meant: ${name}`, () => {
    const relay = servingRelay();
    relay.status = { ...relay.status, ...change };
    const { status } = relay;
    const answer = JSON.stringify(healthAnswer(takeMoment(relay.sources)).body);
    const poll = readHealthAnswer(answer, status.relayId, 77);
    assert.deepEqual(poll, {
      answeredMs: 77,
      error: undefined,
      state: status.state,
      registered: status.registered,
      draining: status.draining,
      totalSessions: 15,
      activeSessions: 12,
      maxSessions: 100,
      endpoints: status.endpoints,
      notReadyReason: status.notReadyReason,
      refusals: [],
    });
    assert.throws(() => readHealthAnswer(answer, 'another pod', 77), new RegExp(status.relayId));
  });
}

test('the operator reads the refusals out of /metrics of a relay', () => {
  const relay = servingRelay();
  const cells = relay.sources.datapath()!.totals();
  cells[Counter.overload_shed_packets] = 5;
  cells[Counter.session_full_rejects] = 7;
  const sources = {
    ...relay.sources,
    datapath: () => ({ ...relay.sources.datapath()!, totals: () => cells }),
  };
  assert.equal(readRefusals(JSON.stringify(metricsJson(takeMoment(sources)))), 12);
  relay.running = false;
  assert.equal(readRefusals(JSON.stringify(metricsJson(takeMoment(relay.sources)))), 0);
});

test('before the data path runs /health is an answer too', () => {
  const relay = servingRelay();
  relay.running = false;
  relay.status = startingStatus('');
  const poll = readHealthAnswer(JSON.stringify(healthAnswer(takeMoment(relay.sources)).body), POD_UID, 1);
  assert.deepEqual([poll.state, poll.totalSessions, poll.notReadyReason], ['starting', 0, 'starting']);
});

test('the most that a relay can say in /health is taken: sessions, endpoints, the longest reason', async (t) => {
  const lines = Array.from({ length: 63 }, (_, i) => `${`k${i}-`.padEnd(128, 'x')}=${ALPHA.hex}`);
  const keys = new MasterKeys({
    flags: [],
    file: fileOf(t, `${lines.join('\n')}\n`),
    unprotected: false,
    insecure: false,
    clock: systemClock,
    log: () => {},
  });
  await keys.load();
  keys.learn(BETA.publicBytes, 'y'.repeat(128));
  const relay = servingRelay();
  const endpoints = Array.from(
    { length: MAX_ENDPOINTS },
    (_, i) => `[2001:db8:1111:2222:3333:4444:5555:${i}]:65535`,
  );
  relay.status = { ...relay.status, ready: false, notReadyReason: keys.problem!, endpoints };
  const sources = {
    ...relay.sources,
    maxSessions: 1_000_000,
    datapath: () => ({
      ...relay.sources.datapath()!,
      heldSessions: () => 1_000_000,
      activeSessions: () => 1_000_000,
    }),
  };
  const poll = readHealthAnswer(
    JSON.stringify(healthAnswer(takeMoment(sources)).body),
    relay.status.relayId,
    1,
  );
  assert.equal(poll.totalSessions, 1_000_000);
  assert.deepEqual(poll.endpoints, endpoints);
  assert.ok(keys.problem!.startsWith(poll.notReadyReason!.slice(0, 100)));
});

/**
 * A Downward API volume as the kubelet writes it (pkg/volume/util/atomic_writer.go): each name is a symbolic link through
 * `..data`, which is swapped by a rename. An annotation that the pod has not gives an empty file, as ExtractFieldPathAsString of
 * pkg/fieldpath/fieldpath.go reads a Go map; a value comes without a newline behind it.
 */
class DownwardVolume {
  readonly path: string;
  readonly #items: DownwardApi['items'];
  #writes = 0;

  constructor(path: string, items: DownwardApi['items']) {
    this.path = path;
    this.#items = items;
  }

  write(annotations: Readonly<Record<string, string>>): void {
    const before = `..v${this.#writes++}`;
    const folder = `..v${this.#writes}`;
    mkdirSync(join(this.path, folder));
    for (const { path, fieldRef } of this.#items) {
      const key = /^metadata\.annotations\['(.+)'\]$/.exec(fieldRef.fieldPath)?.[1];
      assert.ok(key !== undefined, fieldRef.fieldPath);
      writeFileSync(join(this.path, folder, path), annotations[key] ?? '');
      if (this.#writes === 1) symlinkSync(join('..data', path), join(this.path, path));
    }
    symlinkSync(folder, join(this.path, '..data_tmp'));
    renameSync(join(this.path, '..data_tmp'), join(this.path, '..data'));
    rmSync(join(this.path, before), { recursive: true, force: true });
  }
}

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'wavry-agreement-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function fileOf(t: TestContext, text: string): string {
  const path = join(temporaryFolder(t), 'keys');
  writeFileSync(path, text);
  return path;
}

test('annotations of the pod reach the relay through the volume that the Deployment mounts', async (t) => {
  const control = podOf(fleetOf({ master: MASTER })).volumes.find(({ name }) => name === 'control');
  const volume = new DownwardVolume(temporaryFolder(t), control!.downwardAPI!.items);
  const log = new LogLines();
  volume.write({});
  const directory = new ControlDirectory({
    path: volume.path,
    checkEndpoints: (endpoints) => {
      const { problem } = parseEndpoints(endpoints, { host: '0.0.0.0', port: 4000, family: 4 });
      if (problem !== undefined) throw new Error(problem);
    },
    clock: systemClock,
    log: log.log,
    onChange: () => {},
  });
  await directory.start();
  t.after(() => directory.stop());
  assert.deepEqual([directory.draining, directory.endpoints], [false, []], 'a pod without annotations');

  // As operator/plan/drain.ts writes them: String(draining), endpoints joined by newlines.
  const endpoints = ['203.0.113.7:4000', '[2001:db8::7]:4000'];
  const annotations = { [Annotation.draining]: 'false', [Annotation.endpoints]: endpoints.join('\n') };
  volume.write(annotations);
  await waitUntil('the endpoints are read', () => directory.endpoints.length === 2);
  assert.deepEqual([directory.draining, directory.endpoints], [false, endpoints]);

  volume.write({ ...annotations, [Annotation.draining]: 'true' });
  await waitUntil('the relay drains', () => directory.draining);
  assert.deepEqual(directory.endpoints, endpoints);

  volume.write({});
  await waitUntil('annotations that are taken away count as none', () => !directory.draining);
  assert.deepEqual(directory.endpoints, []);
  assert.deepEqual(log.lines, []);
});

test('the ConfigMap with Master’s keys is a keys file', async (t) => {
  const publicKeys = [
    ALPHA.hex,
    `next:2026.1_a-b=${BETA.hex.toUpperCase()}`,
    `${'k'.repeat(64)}=${BETA.hex}`,
  ];
  const object = masterKeys(fleetOf({ master: { ...MASTER, publicKeys } }));
  const text = (object!['data'] as { keys: string }).keys;
  const keys = new MasterKeys({
    flags: [],
    file: fileOf(t, text),
    unprotected: false,
    insecure: false,
    clock: systemClock,
    log: () => {},
  });
  await keys.load();
  assert.deepEqual(keys.state.pinned, [
    { hex: ALPHA.hex, kid: undefined },
    { hex: BETA.hex, kid: 'next:2026.1_a-b' },
    { hex: BETA.hex, kid: 'k'.repeat(64) },
  ]);
});
