import assert from 'node:assert/strict';
import process from 'node:process';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { Resources } from '../../../operator/kube/resource.ts';
import { ADMIN_TOKEN, fleetOf, OperatorCluster } from './operator-cluster.ts';
import { earlyBy, lostBy, refusedBy, RelayLedger } from './relay-ledger.ts';
import { until } from './until.ts';

/** The long form is 8 relays, a relay's capacity in 30 s: `npm run e2e -- autopilot`. */
const SHORT = process.env['WAVRY_AUTOPILOT_RELAYS'] === undefined;
const RELAYS = Number(process.env['WAVRY_AUTOPILOT_RELAYS'] ?? 3);
const RAMP_SECONDS = Number(process.env['WAVRY_AUTOPILOT_RAMP_SECONDS'] ?? 20);

const SESSIONS_EACH = 10;
const BATCH = 5;
const RATE = 20;
/**
 * Peers come five at a time, up to all that the relays can hold; in the short form to one batch less, as Master may take
 * the last relay with room for full at the moment that it assigns the last session.
 */
const BATCHES = (RELAYS * SESSIONS_EACH) / BATCH - (SHORT ? 1 : 0);
const BATCH_MS = (RAMP_SECONDS * 1000 * BATCH) / SESSIONS_EACH;
/** Twice up and down, and what rollout, drains and a busy machine may take. */
const TIMEOUT_MS = BATCHES * BATCH_MS * 2 + 600_000;
/** Pings of both peers until the session has both: one each, as leases are handed out together. */
const EARLY_EACH = 2;
/** Of all that a batch sent: one session of it that fell silent half way is twice as much. */
const SILENT_PERCENT = 5;

/**
 * Real peers, relays, operator, aggregation layer and HPA controller: from no session to as many as the relays can hold
 * and back, with a rollout in the middle.
 */
suite(`autopilot: ${RELAYS} relays, ${SESSIONS_EACH} sessions more in ${RAMP_SECONDS} s`, () => {
  let operator: OperatorCluster;
  let ledger: RelayLedger | undefined;
  let diary: Diary | undefined;
  const batches: ReturnType<OperatorCluster['startPeers']>[] = [];

  before(async () => {
    operator = await OperatorCluster.start({
      nodes: 4,
      hpaSyncPeriod: 5,
      hpaDownscaleStabilization: 15,
    });
    await Promise.all([operator.startMaster(), operator.installOperator()]);
    await operator.apply({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'admin', namespace: 'default' },
      stringData: { token: ADMIN_TOKEN },
    });
  });
  after(async () => {
    await Promise.all([ledger?.stop(), diary?.stop()]);
    await operator.stop();
  });

  const readyFor = async (sessions: number): Promise<boolean> => {
    const ready = (await operator.fleet('autopilot')).status?.readyReplicas ?? 0;
    return ready * SESSIONS_EACH >= Math.min(sessions, BATCHES * BATCH);
  };

  const what = 'no session is lost, none of the relays in service loses a packet, under 1 % is refused';
  test(what, { timeout: TIMEOUT_MS }, async () => {
    await operator.apply(
      fleetOf('autopilot', {
        limits: { maxSessions: SESSIONS_EACH },
        sessions: { idleTimeout: '10s', leaseDuration: '10s' },
        drain: { timeout: '30m' },
        master: { adminTokenFrom: { secretKeyRef: { name: 'admin', key: 'token' } } },
        pod: { resources: { requests: { cpu: '10m' } } },
        replicas: 2,
        autoscaling: {
          minReplicas: 2,
          maxReplicas: RELAYS,
          targetSessionUtilization: 50,
          behavior: {
            scaleDown: {
              stabilizationWindowSeconds: 15,
              policies: [{ type: 'Pods', value: 1, periodSeconds: 15 }],
            },
          },
        },
      }),
    );
    await operator.whenServing('autopilot');
    await operator.whenCondition('autopilot', 'Autoscaling', { status: 'True' });
    ledger = new RelayLedger(operator, 'autopilot');
    diary = new Diary(operator);

    diary.say('up');
    for (let batch = 0; batch < BATCHES; batch += 1) {
      batches.push(
        operator.startPeers(
          `--sessions=${BATCH}`,
          `--rate=${RATE}`,
          '--bidirectional',
          '--duration=0',
          '--setup-rate=2',
        ),
      );
      await sleep(BATCH_MS);
      // Master hands out full relays as well; the long form shows that none gets full at this pace.
      if (SHORT) await until('room for the next batch', () => readyFor((batch + 2) * BATCH));
    }
    await until('the fleet to be as large as it may be', async () => {
      const { spec, status } = await operator.fleet('autopilot');
      return spec.replicas === RELAYS && (status?.readyReplicas ?? 0) >= RELAYS;
    });

    diary.say('rollout');
    const asked = new Set<number>();
    const revision = (await operator.fleet('autopilot')).status?.targetRevision;
    await operator.cluster.kubectl([
      'patch',
      'wr/autopilot',
      '--type=merge',
      '--patch={"spec":{"restartedAt":"2026-01-01T00:00:00Z"}}',
    ]);
    await until(
      'every relay in service to run the new revision',
      async () => {
        const { spec, status } = await operator.fleet('autopilot');
        asked.add(spec.replicas);
        const serving = (status?.relays ?? []).filter((relay) => relay.state === 'Serving');
        return (
          status?.targetRevision !== revision &&
          serving.length >= RELAYS &&
          serving.every((relay) => relay.revision === status?.targetRevision)
        );
      },
      240_000,
    );

    assert.deepEqual([...asked], [RELAYS], 'a rollout changes no proposal of the autoscaler');

    diary.say('down');
    const reports = [];
    for (const batch of batches) {
      reports.push(batch.stop());
      await sleep(BATCH_MS);
    }
    const ended = await Promise.all(reports);
    await until(
      'the fleet to be as small as it may be, and all drained relays gone',
      async () => {
        const { spec, status } = await operator.fleet('autopilot');
        return spec.replicas === 2 && status?.relays?.length === 2 && status.totalSessions === 0;
      },
      240_000,
    );
    await until(
      'the pods of the others to be gone',
      async () => (await operator.list(Resources.pods, 'default', 'wavry.dev/fleet=autopilot')).length === 2,
    );
    await diary.stop();
    await ledger.look();

    const counters = [...ledger.entries.values()];
    const sum = (of: (metrics: Readonly<Record<string, number>>) => number): number =>
      counters.reduce((total, { metrics }) => total + of(metrics), 0);
    const wanted = BATCHES * BATCH;
    const refused = sum(refusedBy);
    const events = await operator.events('autopilot');
    const empty = new Set(
      events.filter(({ reason }) => reason === 'DrainFinished').map(({ message }) => message),
    );
    const lost = ended.reduce((total, { packets }) => total + packets.lost, 0);
    const sent = ended.reduce((total, { packets }) => total + packets.sent, 0);
    console.log(diary.text());
    console.log(
      `${wanted} sessions, ${refused} refused; ${counters.length} relays forwarded ${sum((of) => of['packets_forwarded'] ?? 0)} packets` +
        ` and lost ${sum(lostBy)} (${sum(earlyBy)} pings came before the session's second peer); of ${sent} packets that the peers sent ${lost} never came to them`,
    );

    assert.equal(
      counters.filter(({ gone }) => gone).length >= RELAYS,
      true,
      'relays of the first revision went',
    );
    for (const { pod, metrics, gone } of counters) {
      // What it held in the end is the operator's last word, as the ledger looks now and then.
      const relay = pod.replace(/-[^-]+-[^-]+$/, '');
      if (gone) assert.ok(empty.has(`${relay} is empty and goes`), `${relay} went with sessions`);
      assert.equal(lostBy(metrics), 0, `${pod} lost packets: ${JSON.stringify(metrics)}`);
    }
    assert.deepEqual(
      events.filter(({ reason }) => reason === 'DrainTimedOut').map(({ message }) => message),
      [],
    );
    assert.ok(sum(earlyBy) <= wanted * EARLY_EACH, `${sum(earlyBy)} packets found no session`);
    assert.ok(refused < wanted / 100, `${refused} of ${wanted} were refused`);
    for (const { sessions, packets } of ended) {
      assert.equal(sessions.established, BATCH, JSON.stringify(sessions));
      assert.equal(packets.corrupted + packets.duplicated, 0);
      assert.ok(packets.lost_percent < SILENT_PERCENT, `a session fell silent: ${JSON.stringify(packets)}`);
    }
  });
});

/** What the fleet looked like, second by second. */
class Diary {
  readonly #operator: OperatorCluster;
  readonly #began = performance.now();
  readonly #lines: string[] = [];
  #running = true;
  readonly #ended: Promise<void>;

  constructor(operator: OperatorCluster) {
    this.#operator = operator;
    this.#ended = this.#run();
  }

  say(what: string): void {
    this.#lines.push(`${this.#seconds()} ${what}`);
  }

  text(): string {
    return this.#lines.join('\n');
  }

  async stop(): Promise<void> {
    this.#running = false;
    await this.#ended;
  }

  async #run(): Promise<void> {
    let before = '';
    while (this.#running) {
      try {
        const { spec, status } = await this.#operator.fleet('autopilot');
        const hpa = await this.#operator.find(
          Resources.horizontalPodAutoscalers,
          'default',
          'autopilot-relay',
        );
        const proposal = (hpa?.['status'] as { desiredReplicas?: number } | undefined)?.desiredReplicas;
        const text = `asked ${spec.replicas} (proposed ${proposal ?? '?'}), serving ${status?.readyReplicas ?? 0}, draining ${status?.drainingReplicas ?? 0}, sessions ${status?.totalSessions ?? '?'}`;
        if (text !== before) this.#lines.push(`${this.#seconds()} ${text}`);
        before = text;
      } catch {
        // The next look tells.
      }
      await sleep(1000);
    }
  }

  #seconds(): string {
    return `${((performance.now() - this.#began) / 1000).toFixed(0).padStart(4)} s`;
  }
}
