import assert from 'node:assert/strict';
import { test } from 'node:test';

import { plain } from '../../../local/demo/cluster-state.ts';
import type { ClusterScene } from '../../../local/demo/cluster-view.ts';
import { age, clusterLine, drawCluster } from '../../../local/demo/cluster-view.ts';
import type { RelayStatus } from '../../../operator/api/status.ts';

const CLEAR = (_style: string, text: string): string => text;
const SMALL = { columns: 80, rows: 24 };
const LARGE = { columns: 120, rows: 40 };

function relays(count: number, state: RelayStatus['state'] = 'Serving'): RelayStatus[] {
  return Array.from({ length: count }, (_, i) => ({
    name: `demo-22b6964e-${i}`,
    state,
    node: `node-${(i % 2) + 1}`,
    endpoint: `198.18.${(i % 2) + 1}.${100 + i}:4000`,
    relayId: `id-${i}`,
    sessions: 0,
  }));
}

function scene(listed: readonly RelayStatus[], change: Partial<ClusterScene> = {}): ClusterScene {
  const message = `${listed.length} of ${listed.length} relays serve`;
  return {
    title: 'local cluster, 2 nodes',
    seconds: 617,
    masterUrl: 'http://198.18.0.1:8080',
    operatorHow: 'by its chart',
    cluster: {
      fleet: {
        desired: listed.length,
        status: {
          readyReplicas: listed.length,
          sessionCapacity: 50 * listed.length,
          relays: [...listed],
          conditions: [
            { type: 'Ready', status: 'True', reason: 'Serving', message, lastTransitionTime: 'now' },
          ],
        },
      },
      health: { 'demo-22b6964e-0': { state: 'serving', sessions: 7 } },
      objects: [
        ['Deployment', listed.length],
        ['Pod', listed.length],
        ['PodDisruptionBudget', 1],
      ],
      operator: { ready: 1, desired: 1 },
      events: Array.from({ length: 20 }, (_, i) => ({
        time: new Date(1_000_000 + i * 1000).toISOString(),
        reason: 'RelayCreated',
        message: `event ${i}`,
      })),
    },
    crowd: {
      seconds: 600,
      registered: listed.length,
      relays: {
        'id-0': { sessions: 2, packets: 800, bytes: 960_000, p50: 0.104, p99: 1.25, lost: 3 },
        'id-1': { sessions: 1, packets: 404, bytes: 480_000, p50: 0.09, p99: 12.25, lost: 0 },
      },
      total: {
        sessions: 20,
        sent: 1_234_570,
        received: 1_234_567,
        receivedBytes: 1,
        lost: 3,
        wrong: 0,
      },
      failures: {},
    },
    trouble: undefined,
    nowMs: 1_060_000,
    history: Array.from({ length: 100 }, (_, i) => i / 10),
    shellLines: ['export KUBECONFIG=/tmp/wavry-cluster-abcdef/kubeconfig', 'kubectl get wr'],
    ...change,
  };
}

test('the view fits the terminal, however many relays there are', () => {
  for (const size of [SMALL, LARGE]) {
    for (const count of [0, 1, 2, 5, 8, 40]) {
      const lines = drawCluster(scene(relays(count)), CLEAR, size);
      assert.ok(lines.length < size.rows, `${count} relays take ${lines.length} lines`);
      for (const line of lines) assert.ok(line.length < size.columns, line);
      assert.match(lines.at(-1)!, /kubectl get wr/);
    }
  }
});

test('the view says what there is of the fleet and its traffic', () => {
  const text = drawCluster(scene(relays(2)), CLEAR, SMALL).join('\n');
  for (const shown of [
    '10:17',
    'local cluster, 2 nodes',
    '2 desired   2 ready   room for 100 sessions',
    'Serving  2 of 2 relays serve',
    '2 deploy, 2 pods, 1 pdb',
    'by its chart, 1 of 1 ready',
    '2 relays registered',
    'demo-22b6964e-1  Serving     node-2  198.18.2.101:4000',
    '3 sessions   1,204 pkt/s   11.5 Mbit/s   p50 0.104 ms   p99 12.3 ms',
    '1,234,567 packets   3 lost (0.00 %)   0 wrong',
    'export KUBECONFIG=/tmp/wavry-cluster-abcdef/kubeconfig',
  ]) {
    assert.ok(text.includes(shown), `${shown} is missing in\n${text}`);
  }
  // The relay's own count is fresher than the status.
  assert.match(text, /demo-22b6964e-0 .* 7 +800 +1\.25$/m);
});

test('relays that find no room are counted', () => {
  const shown = (size: typeof SMALL): number => {
    const lines = drawCluster(scene(relays(40)), CLEAR, size);
    const rows = lines.filter((line) => line.startsWith(' demo-')).length;
    assert.ok(lines.includes(` and ${40 - rows} more`), lines.join('\n'));
    return rows;
  };
  assert.ok(shown(LARGE) > shown(SMALL));
});

test('events are shown where there is room, the latest ones with their age', () => {
  const small = drawCluster(scene(relays(5)), CLEAR, SMALL).join('\n');
  assert.doesNotMatch(small, /Events/);
  const large = drawCluster(scene(relays(2)), CLEAR, LARGE).join('\n');
  assert.match(large, /41s {2}RelayCreated {2}event 19/);
  assert.doesNotMatch(large, /event 3\b/);
});

test('before anything answers the view says so', () => {
  const nothing = scene([], { cluster: undefined, crowd: undefined, history: [] });
  const text = drawCluster(nothing, CLEAR, SMALL).join('\n');
  assert.match(text, /wavryrelay\/demo {2}…/);
  assert.match(text, /none yet/);
  const gone = scene([], { cluster: { health: {}, objects: [], events: [] } });
  assert.match(drawCluster(gone, CLEAR, SMALL).join('\n'), /is not there/);
});

test('what is wrong is painted red', () => {
  const red = (one: ClusterScene): string => {
    const painted: string[] = [];
    drawCluster(
      one,
      (style, text) => {
        if (style === 'red') painted.push(text);
        return text;
      },
      LARGE,
    );
    return painted.join(' | ');
  };
  const quiet = { ...scene([]).crowd!, total: { ...scene([]).crowd!.total, lost: 0 } };
  assert.equal(red(scene(relays(2), { crowd: quiet })), '');
  assert.match(red(scene(relays(2))), /3 lost/);
  assert.match(red(scene(relays(1, 'Failed'), { crowd: quiet })), /Failed/);
  assert.match(red(scene(relays(1), { crowd: quiet, trouble: 'no answer' })), /no answer/);
  assert.match(
    red(scene(relays(1), { crowd: { ...quiet, failures: { 'no relay': 4 } } })),
    /4 failed: no relay/,
  );
});

test('a relay that does not serve says why where there is room', () => {
  const [relay] = relays(1, 'Starting');
  const text = drawCluster(scene([{ ...relay!, reason: 'not registered yet' }]), CLEAR, LARGE).join('\n');
  assert.match(text, /Starting .* not registered yet/);
});

test('the line for logs says the same', () => {
  assert.equal(
    clusterLine(scene(relays(2))),
    ' 617 s  wr/demo 2/2 ready  sessions 3  1,204 pkt/s  11.5 Mbit/s  p50 0.104 p99 12.3 ms  lost 3  relays demo-22b6964e-0 Serving 7, demo-22b6964e-1 Serving 0',
  );
  assert.match(
    clusterLine(scene([], { cluster: undefined, trouble: 'no answer' })),
    /no wr\/demo .* no answer$/,
  );
});

test('ages are as short as those of kubectl', () => {
  assert.deepEqual([-5, 0, 119_999, 120_000, 7_199_000, 7_200_000].map(age), [
    '0s',
    '0s',
    '119s',
    '2m',
    '119m',
    '2h',
  ]);
});

test('what others wrote in the cluster does not steer the terminal', () => {
  assert.deepEqual(plain({ a: ['x\x1b[2Jy', 1, null], b: { c: 'two\nlines\x9b' } }), {
    a: ['x [2Jy', 1, null],
    b: { c: 'two lines ' },
  });
});
