import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { spec as specType } from '../../operator/api/spec.ts';
import { dashboardRows } from '../../operator/specs/dashboard-panels.ts';
import { MASTER_URL, fleetOf, IMAGES, OperatorCluster } from '../../test/e2e/operator/operator-cluster.ts';
import { monitoringImages, MonitoringStack } from '../../test/e2e/operator/monitoring-stack.ts';
import { type DrawnPanel, type Line, rowPicture, type TimeRange } from './panel-svg.ts';

const NAME = 'games';
const SPEC = {
  size: 'Small',
  replicas: 2,
  limits: { maxSessions: 20 },
  sessions: { idleTimeout: '10s', leaseDuration: '60s' },
  autoscaling: {
    minReplicas: 2,
    maxReplicas: 6,
    behavior: {
      scaleDown: {
        stabilizationWindowSeconds: 15,
        policies: [{ type: 'Pods', value: 1, periodSeconds: 15 }],
      },
    },
  },
  monitoring: { dashboard: true },
};

/** Seconds after the start of the story, and what peers then come. */
const CROWDS: readonly { readonly at: number; readonly args: readonly string[] }[] = [
  { at: 0, args: ['--sessions=14', '--duration=600', '--rate=25'] },
  { at: 50, args: ['--sessions=10', '--duration=200', '--rate=50', '--rebind-after=20'] },
  { at: 80, args: ['--sessions=10', '--duration=180', '--rate=50'] },
  { at: 100, args: ['--sessions=20', '--duration=150', '--rate=25'] },
  { at: 120, args: ['--sessions=20', '--duration=10', '--bad-lease=expired'] },
  { at: 130, args: ['--sessions=4', '--duration=30', '--rate=25', '--replay'] },
  { at: 160, args: ['--sessions=16', '--duration=100', '--rate=25'] },
];
const STORY_SECONDS = 420;
const STEP_SECONDS = 5;

/**
 * Draws the dashboard of a fleet that real peers fill and leave: relays, operator, Prometheus Operator and Prometheus are the
 * real ones, and the queries are the dashboard's own. Writes an SVG for each row.
 */
export async function drawDashboard(folder: string, say: (line: string) => void): Promise<void> {
  say('starting a cluster with the Prometheus Operator');
  const operator = await OperatorCluster.start({
    images: { ...IMAGES, ...(await monitoringImages()) },
    hpaSyncPeriod: 5,
  });
  try {
    const stack = new MonitoringStack(operator);
    await stack.installCrds();
    await Promise.all([
      stack.start(),
      operator.startMaster(),
      operator.installOperator(
        '--set=monitoring.serviceMonitor=true',
        '--set=monitoring.prometheusRule=true',
      ),
    ]);
    await operator.apply(fleetOf(NAME, SPEC));
    await operator.whenServing(NAME);
    await operator.whenCondition(NAME, 'Autoscaling', { status: 'True' });
    const start = Date.now() / 1000;
    say(`peers come and go for ${STORY_SECONDS} s`);
    await crowds(operator);
    const range = { start, end: start + STORY_SECONDS };
    for (const row of await rows(stack, range)) {
      const file = join(folder, `dashboard-${row.title.toLowerCase()}.svg`);
      writeFileSync(file, rowPicture(row.title, row.panels, range));
      say(file);
    }
  } finally {
    await operator.stop();
  }
}

async function crowds(operator: OperatorCluster): Promise<void> {
  const began = performance.now();
  for (const { at, args } of CROWDS) {
    await sleepUntil(began, at);
    const child = operator.spawn('local/peers/main.ts', [
      `--master=${MASTER_URL}`,
      '--json',
      '--bidirectional',
      '--max-loss=100',
      ...args,
    ]);
    child.stdout?.resume();
    child.stderr?.resume();
  }
  await sleepUntil(began, STORY_SECONDS);
}

/** @param began by performance.now() */
async function sleepUntil(began: number, second: number): Promise<void> {
  await sleep(Math.max(0, second * 1000 - (performance.now() - began)));
}

async function rows(
  stack: MonitoringStack,
  range: TimeRange,
): Promise<{ readonly title: string; readonly panels: readonly DrawnPanel[] }[]> {
  const fleet = {
    name: NAME,
    namespace: 'default',
    uid: '',
    spec: specType.parse({ master: { url: MASTER_URL }, ...SPEC }),
    defaultImage: '',
    runbooks: '',
  };
  const drawn = [];
  for (const { title, panels } of dashboardRows(fleet)) {
    const row: DrawnPanel[] = [];
    for (const panel of panels) {
      const lines: Line[] = [];
      for (const { expr, legend } of panel.queries) {
        const series = await stack.queryRange(expr.replaceAll('$__rate_interval', '1m'), range, STEP_SECONDS);
        lines.push(
          ...series.map(({ metric, values }) => ({
            label: legend.replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) => metric[name] ?? ''),
            points: values.map(([time, value]): readonly [number, number] => [time, Number(value)]),
          })),
        );
      }
      row.push({ panel, lines });
    }
    drawn.push({ title, panels: row });
  }
  return drawn;
}
