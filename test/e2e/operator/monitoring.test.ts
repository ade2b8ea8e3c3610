import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';

import { parse } from 'yaml';

import type { KubeObject } from '../../../operator/kube/object.ts';
import { Resources } from '../../../operator/kube/resource.ts';
import { monitoringImages, MonitoringStack } from './monitoring-stack.ts';
import { fleetOf, IMAGES, OperatorCluster, ROOT } from './operator-cluster.ts';
import { until } from './until.ts';

interface AuditEvent {
  readonly verb: string;
  readonly stage: string;
  readonly userAgent?: string;
  readonly objectRef?: { readonly resource: string; readonly name?: string };
}

interface Dashboard {
  readonly title: string;
  readonly panels: readonly {
    readonly title: string;
    readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
  }[];
}

/** The first time on a machine, Prometheus and its operator are built: six minutes on two busy cores. */
const FIRST_BUILD_MS = 900_000;
/** Prometheus' reloader hears of a change of its file at once only the first time, and looks every three minutes. */
const RELOAD_MS = 200_000;

/** Its peers keep to its own relays. */
const OTHER_MASTER = 'http://198.18.0.1:8081';

/** A real Prometheus Operator and a real Prometheus, which learn of the relays by nothing but what is made for them. */
suite('monitoring, with the Prometheus Operator', { timeout: FIRST_BUILD_MS }, () => {
  let operator: OperatorCluster;
  let stack: MonitoringStack;

  before(
    async () => {
      operator = await OperatorCluster.start({
        auditLog: true,
        images: { ...IMAGES, ...(await monitoringImages()) },
      });
      stack = new MonitoringStack(operator);
      await stack.installCrds();
      await Promise.all([
        stack.start(),
        operator.startMaster(),
        operator.startMaster(OTHER_MASTER),
        operator.installOperator(
          '--set=monitoring.serviceMonitor=true',
          '--set=monitoring.prometheusRule=true',
        ),
      ]);
      await operator.apply(
        fleetOf('games', {
          replicas: 2,
          limits: { maxSessions: 10 },
          autoscaling: { minReplicas: 2, maxReplicas: 2 },
          monitoring: { serviceMonitor: true, prometheusRule: true, dashboard: true },
        }),
        // Its series must not be taken for those of the other.
        fleetOf('quiet', { master: { url: OTHER_MASTER } }),
      );
      await Promise.all([operator.whenServing('games'), operator.whenServing('quiet')]);
    },
    { timeout: FIRST_BUILD_MS },
  );
  after(async () => {
    await operator.stop();
  });

  test('every relay and the operator are targets, named by fleet, relay and pod', async () => {
    const relays = [...(await operator.whenServing('games')), ...(await operator.whenServing('quiet'))];
    const targets = await until(
      'every target to be up',
      async () => {
        const found = await stack.targets();
        if (found.length === 4 && found.every(({ health }) => health === 'up')) return found;
        throw new Error(
          JSON.stringify(found.map(({ labels, health, lastError }) => [labels, health, lastError])),
        );
      },
      RELOAD_MS,
    );
    for (const relay of relays) {
      const target = targets.find(({ labels }) => labels['pod'] === relay.pod);
      assert.equal(target?.labels['wavry_dev_relay'], relay.name);
      assert.equal(target?.labels['wavry_dev_fleet'], relay.name.startsWith('games-') ? 'games' : 'quiet');
      assert.equal(target?.labels['wavry_dev_revision'], relay.revision);
    }
    assert.ok(targets.some(({ labels }) => labels['job'] === 'wavry-relay-operator'));
  });

  test('every rule is loaded, and can be evaluated', async () => {
    const groups = ['games.alerts', 'games.rules', 'quiet.alerts', 'quiet.rules', 'wavry-relay-operator'];
    const loaded = await until(
      'the rules to be loaded and evaluated',
      async () => {
        const found = await stack.rules();
        if (
          groups.every((name) => found.some((group) => group.name === name)) &&
          found.every((group) => group.rules.every(({ health }) => health !== 'unknown'))
        )
          return found;
        throw new Error(JSON.stringify(found));
      },
      RELOAD_MS,
    );
    for (const { name, health, lastError } of loaded.flatMap((group) => group.rules)) {
      assert.equal(health, 'ok', `${name}: ${lastError}`);
    }
  });

  test('more sessions than the fleet can hold fire its alert, and no other fleet’s', async () => {
    // 20 fit.
    const report = await operator.peers('--sessions=40', '--rate=20', '--duration=10', '--bidirectional');
    assert.ok(report.packets.received > 0, 'those that fit are forwarded');
    const firing = await until('the overload to fire', async () => {
      const alerts = (await stack.alerts()).filter(({ state }) => state === 'firing');
      if (alerts.some(({ labels }) => /^WavryRelay(SessionsFull|OverloadShed)$/.test(labels['alertname']!)))
        return alerts;
      throw new Error(JSON.stringify(await stack.alerts()));
    });
    for (const { labels, annotations } of firing) {
      if (labels['alertname'] === 'Watchdog') continue;
      assert.equal(labels['wavry_dev_fleet'], 'games', JSON.stringify(labels));
      assert.match(annotations['summary']!, /^Relay games-[0-9a-f]{8}-\d of default\/games /);
      assert.match(annotations['description']!, /^Pod games-\S+ refused \d+ sessions/);
    }
  });

  test('every expression of the dashboard returns data', async () => {
    const maps = await operator.list<KubeObject & { data: Record<string, string> }>(
      Resources.configMaps,
      'default',
      'grafana_dashboard=1',
    );
    assert.equal(maps.length, 1, 'a dashboard is made only where it is asked for');
    const [[file, text]] = Object.entries(maps[0]!.data) as [[string, string]];
    assert.equal(file, 'wavry-relay-default-games.json');
    const dashboard = JSON.parse(text) as Dashboard;
    const targets = dashboard.panels.flatMap(({ title, targets = [] }) =>
      targets.map((target) => ({ title, ...target })),
    );
    assert.ok(targets.length > 30);
    await until('data for every panel', async () => {
      const empty: string[] = [];
      for (const { title, expr } of targets) {
        const samples = await stack.query(expr.replaceAll('$__rate_interval', '5m'));
        if (samples.length === 0 || samples.some(({ value }) => Number.isNaN(Number(value[1]))))
          empty.push(`${title}: ${expr}`);
      }
      if (empty.length > 0) throw new Error(empty.join('\n'));
      return true;
    });
    const forwarded = targets.find(
      ({ title, legendFormat }) => title === 'Bandwidth' && legendFormat === 'forwarded',
    );
    await until('what was forwarded to be seen', async () => {
      const [sample] = await stack.query(forwarded!.expr);
      return Number(sample?.value[1]) > 0;
    });
  });

  test('all of it was written once, and then left alone', () => {
    const writes = operator
      .auditLines()
      .map((line) => JSON.parse(line) as AuditEvent)
      .filter(
        ({ userAgent, stage, verb, objectRef }) =>
          userAgent?.startsWith('wavry-relay-operator') &&
          stage === 'ResponseComplete' &&
          !['get', 'list', 'watch'].includes(verb) &&
          ['prometheusrules', 'servicemonitors', 'configmaps'].includes(objectRef?.resource ?? ''),
      )
      .map(({ verb, objectRef }) => `${verb} ${objectRef?.resource}/${objectRef?.name}`);
    assert.deepEqual(writes.toSorted(), [
      'patch configmaps/games-dashboard',
      'patch prometheusrules/games-relay',
      'patch prometheusrules/quiet-relay',
      'patch servicemonitors/games-relay',
      'patch servicemonitors/quiet-relay',
    ]);
  });

  test('what is no longer wanted is removed, and Prometheus forgets it', async () => {
    await operator.apply(
      fleetOf('games', {
        replicas: 2,
        limits: { maxSessions: 10 },
        autoscaling: { minReplicas: 2, maxReplicas: 2 },
        monitoring: { serviceMonitor: false, prometheusRule: false, dashboard: false },
      }),
    );
    await until(
      'nothing of games to be watched',
      async () => {
        const left = [
          ...(await stack.rules()).map(({ name }) => name).filter((name) => name.startsWith('games')),
          ...(await stack.targets())
            .filter(({ labels }) => labels['wavry_dev_fleet'] === 'games')
            .map(({ labels }) => labels['pod']),
        ];
        for (const resource of [Resources.prometheusRules, Resources.serviceMonitors, Resources.configMaps]) {
          const objects = await operator.list(resource, 'default', 'wavry.dev/fleet=games');
          left.push(...objects.map(({ metadata }) => `${resource.kind}/${metadata.name}`));
        }
        if (left.length > 0) throw new Error(left.join(', '));
        return true;
      },
      RELOAD_MS,
    );
  });

  test('the scrape_config of the documentation finds relays and operator by itself', async () => {
    const page = readFileSync(join(ROOT, 'docs/monitoring.md'), 'utf8');
    const text = /```yaml\n(rule_files: [\s\S]*?kubernetes_sd_configs[\s\S]*?)```/.exec(page)?.[1] ?? '';
    const { scrape_configs } = parse(text) as { scrape_configs: { job_name: string }[] };
    // The Prometheus Operator has jobs of this name of its own.
    await stack.scrapeToo(scrape_configs.map((job) => ({ ...job, job_name: `plain-${job.job_name}` })));
    const relays = [...(await operator.whenServing('games')), ...(await operator.whenServing('quiet'))];
    const targets = await until('the further jobs to have found them', async () => {
      const found = (await stack.targets()).filter(({ labels }) => labels['job']?.startsWith('plain-'));
      if (found.length === relays.length + 1 && found.every(({ health }) => health === 'up')) return found;
      throw new Error(
        JSON.stringify(found.map(({ labels, health, lastError }) => [labels, health, lastError])),
      );
    });
    for (const relay of relays) {
      const { labels } =
        targets.find((target) => target.labels['pod'] === relay.pod) ?? assert.fail(relay.pod);
      assert.deepEqual(
        ['namespace', 'wavry_dev_fleet', 'wavry_dev_relay', 'wavry_dev_revision'].map((name) => labels[name]),
        ['default', relay.name.startsWith('games-') ? 'games' : 'quiet', relay.name, relay.revision],
      );
    }
  });
});
