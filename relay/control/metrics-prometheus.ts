import process from 'node:process';

import { Counter, Gauge, Registry } from 'prom-client';

import { VERSION } from '../config/version.ts';
import { METRICS } from './metrics.ts';
import type { Metric, Moment } from './metrics.ts';

/** The text exposition format, version 0.0.4. */
export const PROMETHEUS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export interface PrometheusExport {
  render(moment: Moment): Promise<string>;
}

/** Figures live elsewhere (shared memory, the control plane): each render reads one moment of them. */
export function createPrometheusExport(): PrometheusExport {
  const registry = new Registry();
  let moment: Moment | undefined;
  const now = (): Moment => moment!;

  for (const metric of METRICS) register(registry, metric, `wavry_relay_${metric.name}`, now);
  // The name that today's relay gives the uptime here.
  const uptime = METRICS.find(({ name }) => name === 'uptime_secs')!;
  register(registry, uptime, 'wavry_relay_uptime_seconds', now);
  registerProcess(registry);

  return {
    render: async (taken) => {
      moment = taken;
      registry.setDefaultLabels({ relay_id: taken.status.relayId });
      return registry.metrics();
    },
  };
}

function register(registry: Registry, metric: Metric, name: string, now: () => Moment): void {
  const options = { name, help: metric.help, registers: [registry] };
  if (metric.type === 'gauge') {
    void new Gauge({
      ...options,
      collect() {
        this.set(metric.read(now()));
      },
    });
  } else {
    void new Counter({
      ...options,
      collect() {
        this.reset();
        this.inc(metric.read(now()));
      },
    });
  }
}

/** What Prometheus's client libraries say of any process, and which build this one is. */
function registerProcess(registry: Registry): void {
  const registers = [registry];
  const startedAt = Math.round(Date.now() / 1000 - process.uptime());
  void new Counter({
    name: 'process_cpu_seconds_total',
    help: 'Total user and system CPU time spent in seconds',
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  void new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory size in bytes',
    registers,
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  void new Gauge({
    name: 'process_start_time_seconds',
    help: 'Start time of the process since unix epoch in seconds',
    registers,
    collect() {
      this.set(startedAt);
    },
  });
  void new Gauge({
    name: 'wavry_relay_build_info',
    help: 'Version of the relay and of its runtime; always 1',
    labelNames: ['version', 'node'],
    registers,
    collect() {
      this.set({ version: VERSION, node: process.versions.node }, 1);
    },
  });
}
