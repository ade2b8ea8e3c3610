import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createPrometheusExport } from '../../../relay/control/metrics-prometheus.ts';
import { METRICS, metricsJson, takeMoment } from '../../../relay/control/metrics.ts';
import { Counter, PRIMARY_DROP_REASONS } from '../../../relay/pipeline/counters.ts';
import { cellOf, RELAY_ID, servingRelay } from './health-fixture.ts';

/** design-relay 7, "Counters, in both, with the names of the guide". */
const PROMISED =
  `packets_rx bytes_rx packets_forwarded bytes_forwarded lease_present_packets lease_renew_packets dropped_packets
  rate_limited_packets identity_rate_limited_packets invalid_packets auth_reject_packets session_not_found_packets
  session_not_active_packets unknown_peer_packets replay_dropped_packets backpressure_dropped_packets session_full_rejects
  wrong_relay_rejects expired_lease_rejects cleanup_expired_sessions cleanup_idle_sessions overload_shed_packets
  nat_rebind_events lease_accepted_packets drain_refused_packets send_failed_packets kernel_dropped_packets
  handed_over_packets soft_limit_exceeded_packets active_sessions total_sessions max_sessions uptime_secs registered
  draining worker_busy_ratio socket_buffer_bytes`.split(/\s+/);

/** What today's relay exports. */
const TODAYS = ['wavry_relay_uptime_seconds', 'wavry_relay_active_sessions', 'wavry_relay_packets_rx'];

interface Sample {
  readonly labels: string;
  readonly value: number;
}

/** Reads the text exposition format 0.0.4, and holds it to it. */
function parse(text: string): { types: Map<string, string>; samples: Map<string, Sample> } {
  const types = new Map<string, string>();
  const samples = new Map<string, Sample>();
  for (const line of text.split('\n').filter((line) => line !== '')) {
    const type = /^# TYPE (\S+) (counter|gauge)$/.exec(line);
    if (type) types.set(type[1]!, type[2]!);
    if (line.startsWith('#')) {
      assert.match(line, /^# (?:HELP \S+ \S.*|TYPE \S+ (?:counter|gauge))$/);
      continue;
    }
    const sample = /^([a-z_]+)\{([^}]*)\} (-?[\d.e+-]+)$/.exec(line);
    assert.ok(sample, line);
    assert.ok(types.has(sample[1]!), `${sample[1]} has no TYPE before it`);
    assert.ok(!samples.has(sample[1]!), `${sample[1]} twice`);
    samples.set(sample[1]!, { labels: sample[2]!, value: Number(sample[3]) });
  }
  return { types, samples };
}

test('every promised name is in both forms, with the same figure and the relay id', async () => {
  const relay = servingRelay();
  const moment = takeMoment(relay.sources);
  const json = metricsJson(moment);
  const { types, samples } = parse(await createPrometheusExport().render(moment));
  for (const name of PROMISED) assert.ok(name in json, name);
  for (const { name, type } of METRICS) {
    const sample = samples.get(`wavry_relay_${name}`);
    assert.equal(sample?.value, json[name], name);
    assert.equal(sample?.labels, `relay_id="${RELAY_ID}"`);
    assert.equal(types.get(`wavry_relay_${name}`), type);
  }
  for (const name of TODAYS) assert.ok(samples.has(name), name);
  for (const name of Object.keys(Counter)) assert.equal(types.get(`wavry_relay_${name}`), 'counter');
  for (const name of [
    'process_cpu_seconds_total',
    'process_resident_memory_bytes',
    'process_start_time_seconds',
  ]) {
    assert.ok(samples.get(name)!.value > 0, name);
  }
  assert.match(samples.get('wavry_relay_build_info')!.labels, /version="[^"]+",node="[^"]+"/);
});

test("the guide's example output", async () => {
  const relay = servingRelay();
  relay.cells[cellOf('packets_rx')] = 123_456;
  relay.cells[cellOf('bytes_forwarded')] = 98_765_432;
  const text = await createPrometheusExport().render(takeMoment(relay.sources));
  assert.ok(
    text.includes(
      `# HELP wavry_relay_packets_rx Total packets received\n# TYPE wavry_relay_packets_rx counter\nwavry_relay_packets_rx{relay_id="${RELAY_ID}"} 123456\n`,
    ),
  );
  assert.ok(
    text.includes(
      `# HELP wavry_relay_bytes_forwarded Total bytes forwarded\n# TYPE wavry_relay_bytes_forwarded counter\nwavry_relay_bytes_forwarded{relay_id="${RELAY_ID}"} 98765432\n`,
    ),
  );
});

test('each scrape has the figures of its moment, up to 2^53 exactly', async () => {
  const relay = servingRelay();
  const prometheus = createPrometheusExport();
  for (const value of [5, 6, 2 ** 53 - 1]) {
    relay.cells[cellOf('bytes_rx')] = value;
    const { samples } = parse(await prometheus.render(takeMoment(relay.sources)));
    assert.equal(samples.get('wavry_relay_bytes_rx')!.value, value);
  }
});

test('drop reasons of an answer add up with its dropped_packets, however many packets arrive meanwhile', async () => {
  const relay = servingRelay();
  relay.cells.fill(0);
  let asked = 0;
  const sources = {
    ...relay.sources,
    datapath: () => ({
      ...relay.sources.datapath()!,
      totals: () => {
        asked++;
        for (const name of PRIMARY_DROP_REASONS) relay.cells[cellOf(name)]!++;
        relay.cells[cellOf('dropped_packets')]! += PRIMARY_DROP_REASONS.length;
        return relay.cells.slice();
      },
    }),
  };
  const { samples } = parse(await createPrometheusExport().render(takeMoment(sources)));
  const at = (name: string): number => samples.get(`wavry_relay_${name}`)!.value;
  assert.equal(
    PRIMARY_DROP_REASONS.reduce((sum, name) => sum + at(name), 0),
    at('dropped_packets'),
  );
  assert.equal(asked, 1);
});
