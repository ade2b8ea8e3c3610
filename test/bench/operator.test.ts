import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { test } from 'node:test';

import { BenchError } from '../../bench/bench-error.ts';
import { countRequests, isWrite, readAuditLine } from '../../bench/operator/audit.ts';
import { parseOperatorOptions } from '../../bench/operator/options.ts';
import { findProcesses, usageOf } from '../../bench/operator/processes.ts';
import { type OperatorResults, type Phase, PROGRAMS } from '../../bench/operator/results.ts';
import { machineLines, resultTables } from '../../bench/operator/tables.ts';
import {
  expectedObjects,
  fleetObject,
  fleetsOf,
  hasConverged,
  missingObjects,
} from '../../bench/operator/workload.ts';
import { markdownTable, terminalTable } from '../../bench/table.ts';
import { readSpec } from '../../operator/api/read-spec.ts';
import type { KubeObject } from '../../operator/kube/object.ts';

test('without flags a thousand WavryRelays, and ten minutes of nothing', () => {
  assert.deepEqual(parseOperatorOptions([]), {
    resources: 1000,
    replicas: 1,
    idleSeconds: 600,
    json: false,
    publish: false,
    resultsDir: undefined,
  });
  assert.equal(parseOperatorOptions(['--help', '--resources', '5']), 'help');
});

for (const [args, complaint] of [
  [['--resources', '0'], /--resources 0: not a number from 1/],
  [['--resources', 'many'], /--resources many/],
  [['--replicas', '101'], /--replicas 101/],
  [['--resources', '1000', '--replicas', '100'], /more than the local cluster's 20000/],
  [['--idle', '-1'], /--idle/],
  [['--fast'], /Unknown option '--fast'/],
] as const) {
  test(`${args.join(' ')} is refused with what is wrong`, () => {
    assert.throws(
      () => parseOperatorOptions(args),
      (error) => error instanceof BenchError && error.exitCode === 64 && complaint.test(error.message),
    );
  });
}

function audited(change: Record<string, unknown>): string {
  return JSON.stringify({
    stage: 'ResponseComplete',
    verb: 'patch',
    requestURI: '/apis/wavry.dev/v1alpha1/namespaces/a/wavryrelays/b/status?force=true',
    requestReceivedTimestamp: '2030-01-02T03:04:05.678901Z',
    user: { username: 'operator' },
    objectRef: { resource: 'wavryrelays', subresource: 'status', namespace: 'a', name: 'b' },
    responseStatus: { code: 200 },
    ...change,
  });
}

test('a line of the audit log is one request: a watch counts when it begins, all else when it is answered', () => {
  assert.deepEqual(readAuditLine(audited({})), {
    atMs: Date.UTC(2030, 0, 2, 3, 4, 5, 678),
    user: 'operator',
    verb: 'patch',
    resource: 'wavryrelays/status',
    name: 'b',
    code: 200,
  });
  assert.equal(readAuditLine(audited({ verb: 'watch', stage: 'ResponseStarted' }))?.verb, 'watch');
  assert.equal(readAuditLine(audited({ verb: 'watch', stage: 'ResponseComplete' })), undefined);
  assert.equal(readAuditLine(audited({ stage: 'ResponseStarted' })), undefined);
  assert.equal(readAuditLine(audited({}).slice(0, 50)), undefined);
  const noResource = readAuditLine(
    audited({ objectRef: undefined, verb: 'get', requestURI: '/readyz?verbose' }),
  );
  assert.equal(noResource?.resource, '/readyz');
});

test('requests are counted by verb and resource; what changes something is a write', () => {
  const requests = ['patch', 'get', 'patch', 'delete'].map((verb) => readAuditLine(audited({ verb }))!);
  assert.deepEqual(countRequests(requests), [
    ['patch wavryrelays/status', 2],
    ['delete wavryrelays/status', 1],
    ['get wavryrelays/status', 1],
  ]);
  assert.deepEqual(requests.map(isWrite), [true, false, true, true]);
  const question = { resource: 'subjectaccessreviews' };
  assert.equal(isWrite(readAuditLine(audited({ verb: 'create', objectRef: question }))!), false);
});

/** A fleet of two that has converged. */
function converged(): {
  metadata: Record<string, unknown>;
  spec: { replicas: number };
  status: Record<string, unknown>;
} {
  const relay = { name: 'x', state: 'Serving', revision: 'r' };
  return {
    metadata: { name: 'fleet-0', namespace: 'bench-0', uid: 'u', generation: 3 },
    spec: { replicas: 2 },
    status: {
      observedGeneration: 3,
      readyReplicas: 2,
      targetRevision: 'r',
      relays: [relay, relay],
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  };
}

test('converged is only what is Ready in its present generation with every relay serving the target revision', () => {
  assert.ok(hasConverged(converged() as never));
  for (const [name, change] of Object.entries<Record<string, unknown>>({
    'an older generation': { observedGeneration: 2 },
    'not ready': { conditions: [{ type: 'Ready', status: 'False' }] },
    degraded: {
      conditions: [
        { type: 'Ready', status: 'True' },
        { type: 'Degraded', status: 'True' },
      ],
    },
    'a relay too few': { relays: [{ name: 'x', state: 'Serving', revision: 'r' }] },
    'a relay that starts': {
      relays: [
        { name: 'x', state: 'Serving', revision: 'r' },
        { name: 'y', state: 'Starting', revision: 'r' },
      ],
    },
    'another revision': { targetRevision: 's' },
    'fewer ready': { readyReplicas: 1 },
  })) {
    const object = converged();
    object.status = { ...object.status, ...change };
    assert.ok(!hasConverged(object as never), name);
  }
  assert.ok(!hasConverged({ ...converged(), status: undefined } as never));
});

test('an object that isn’t there is told, and a pod that isn’t ready doesn’t count', () => {
  const fleets = fleetsOf(101);
  assert.equal(new Set(fleets.map(({ namespace }) => namespace)).size, 2);
  const objects = new Map<string, KubeObject[]>();
  for (const [kind, count] of expectedObjects(2)) {
    objects.set(
      kind,
      fleets.flatMap(({ namespace, name }) =>
        Array.from({ length: count }, () => ({
          metadata: { namespace, name, labels: { 'wavry.dev/fleet': name } },
          status: { conditions: [{ type: 'Ready', status: 'True' }] },
        })),
      ) as never,
    );
  }
  assert.deepEqual(missingObjects(fleets, 2, objects), []);
  objects.get('Service')!.pop();
  const pods = objects.get('Pod')!;
  pods[0] = { ...pods[0]!, status: { conditions: [{ type: 'Ready', status: 'False' }] } };
  assert.deepEqual(missingObjects(fleets, 2, objects), [
    'bench-1/fleet-100: Service has 0 of 1',
    'bench-0/fleet-0: Pod has 1 of 2',
  ]);
});

test('the WavryRelay of the benchmark is one that the operator can read, without a field it doesn’t know', () => {
  const object = fleetObject({ namespace: 'n', name: 'f' }, 3, 'http://198.18.0.1:8080') as { spec: unknown };
  const { spec, problems, unknownFields } = readSpec(object.spec);
  assert.deepEqual([problems, unknownFields], [[], []]);
  assert.equal(spec?.replicas, 3);
});

test('programs are found among those that were started, and measured', async (t) => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)', '/marked-for-the-test'], {
    stdio: 'ignore',
  });
  t.after(() => child.kill('SIGKILL'));
  await once(child, 'spawn');
  assert.deepEqual(findProcesses(process.pid, '/marked-for-the-test'), []);
  const found = findProcesses(process.pid, '-e');
  assert.ok(found.some(({ pid }) => pid === child.pid));
  const usage = usageOf({ pid: child.pid! });
  assert.ok(usage.residentBytes > 0 && usage.peakResidentBytes >= usage.residentBytes);
  assert.deepEqual(findProcesses(child.pid!, '-e'), []);
});

function phase(writes: Phase['writes'] = []): Phase {
  const spent = Object.fromEntries(
    PROGRAMS.map((program, index) => [program, { cpu: 2 + index, resident: 2 ** 20 * (100 + index) }]),
  ) as Phase['spent'];
  return { seconds: 60, spent, requests: [['get leases', 30], ...writes], writes, refused: [] };
}

test('the tables tell what was measured, and a write at rest is a target missed', () => {
  const results: OperatorResults = {
    format: 1,
    machine: { cores: 2, cpu: 'A CPU', kernel: 'Linux 6.1 x64', node: 'v26.0.0', idle: 0.5 },
    resources: 1000,
    replicas: 1,
    createdSeconds: 3,
    each: { low: 1, median: 2, high: 3, count: 1000, worst: 9 },
    converging: phase([['create deployments', 1000]]),
    tailSeconds: 1,
    idle: phase(),
    restart: phase([['patch wavryrelays/status', 7]]),
    peakResident: 300 * 2 ** 20,
  };
  const text = resultTables(results).map(terminalTable).join('\n');
  assert.match(text, /1,000 WavryRelays converge +all, in 60 s +holds/);
  assert.match(text, /writes nothing but its Lease +no write but its Lease in 60 s +holds/);
  assert.match(text, /finds nothing to do +7 patch wavryrelays\/status in 60 s +MISSED/);
  assert.match(text, /operator +0\.67 +0\.67 +3\.3 % +0\.99/);
  assert.match(text, /create deployments +1,000 +0 +0/);
  assert.match(
    resultTables(results).map(markdownTable).join('\n'),
    /\| operator’s memory at most \| 300 MiB \|/,
  );
  assert.match(machineLines(results).join('\n'), /50 % of the machine was idle/);
});
