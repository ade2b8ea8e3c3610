import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { suite, test } from 'node:test';

import { spec as specType } from '../../operator/api/spec.ts';
import { alertingRules } from '../../operator/specs/alerts.ts';
import type { Fleet } from '../../operator/specs/fleet.ts';
import { prometheusRule } from '../../operator/specs/prometheus-rule.ts';
import { RUNBOOKS } from '../../operator/specs/runbook.ts';
import { type AlertCase, alertsOf, unitTests } from './alert-case.ts';
import { OPERATOR_RULES, operatorRules } from './operator-rules.ts';
import { checkRules, type RuleFile, testRules } from './promtool.ts';

const FLEET = { namespace: 'wavry', wavry_dev_fleet: 'games' };
const RELAY = { ...FLEET, wavry_dev_relay: 'games-0123abcd-0', pod: 'games-0123abcd-0-x' };
const OTHERS = { ...RELAY, wavry_dev_fleet: 'other' };

const RECEIVED = { wavry_relay_packets_rx: '0+60000x60' };
const SERVES = { wavry_relay_registered: '1x60', wavry_relay_draining: '0x60' };

const CASES: readonly AlertCase[] = [
  {
    alert: 'WavryRelayFleetDown',
    fires: { up: '0x60' },
    silent: [{ up: '1x60' }, { up: '0x3 1x60' }],
    after: 6,
    labels: FLEET,
    absence: true,
  },
  {
    alert: 'WavryRelayDown',
    fires: { up: '0x60' },
    silent: [{ up: '1x60' }, { up: '0 1x60' }],
    after: 3,
  },
  {
    alert: 'WavryRelayNotRegistered',
    fires: { wavry_relay_registered: '0x60', wavry_relay_draining: '0x60' },
    silent: [SERVES, { wavry_relay_registered: '0x60', wavry_relay_draining: '1x60' }],
    after: 6,
  },
  {
    alert: 'WavryRelayMasterUnreachable',
    fires: { wavry_relay_master_outage_secs: '0 0+60x60', wavry_relay_registered: '1x60' },
    silent: [
      { wavry_relay_master_outage_secs: '0x60', wavry_relay_registered: '1x60' },
      // It answers now and then.
      { wavry_relay_master_outage_secs: '0 60 120 0 60 0x60', wavry_relay_registered: '1x60' },
      { wavry_relay_master_outage_secs: '0 60 120x60', wavry_relay_registered: '1x60' },
      // WavryRelayNotRegistered is about that one: it started while Master was away, or is refused.
      { wavry_relay_master_outage_secs: '0 0+60x60', wavry_relay_registered: '0x60' },
    ],
    after: 4,
    value: '3m 0s',
  },
  {
    alert: 'WavryRelayStateWriteErrors',
    fires: { wavry_relay_state_write_errors: '0 0 2x60' },
    silent: [{ wavry_relay_state_write_errors: '7x60' }],
    after: 4,
  },
  {
    alert: 'WavryRelayForwardingLow',
    fires: { ...RECEIVED, wavry_relay_packets_forwarded: '0+54000x60' },
    silent: [
      { ...RECEIVED, wavry_relay_packets_forwarded: '0+57600x60' },
      // An idle relay receives leases and answers of STUN servers alone.
      { wavry_relay_packets_rx: '0+300x60', wavry_relay_packets_forwarded: '0x60' },
    ],
    after: 10,
    value: '90%',
  },
  {
    alert: 'WavryRelayDropsHigh',
    fires: { ...RECEIVED, wavry_relay_dropped_packets: '0+3600x60' },
    silent: [
      { ...RECEIVED, wavry_relay_dropped_packets: '0+2400x60' },
      { wavry_relay_packets_rx: '0+300x60', wavry_relay_dropped_packets: '0+300x60' },
    ],
    after: 10,
    value: '6%',
  },
  {
    alert: 'WavryRelayRateLimited',
    fires: { ...RECEIVED, wavry_relay_rate_limited_packets: '0+1200x60' },
    silent: [{ ...RECEIVED, wavry_relay_rate_limited_packets: '0+300x60' }],
    after: 10,
    value: '2%',
  },
  {
    alert: 'WavryRelayInvalidPackets',
    fires: { ...RECEIVED, wavry_relay_invalid_packets: '0+120x60' },
    silent: [{ ...RECEIVED, wavry_relay_invalid_packets: '0+30x60' }],
    after: 10,
    value: '0.2%',
  },
  {
    alert: 'WavryRelayAuthRejects',
    fires: { wavry_relay_auth_reject_packets: '0+120x60' },
    silent: [{ wavry_relay_auth_reject_packets: '0+30x60' }],
    after: 10,
    value: '2',
  },
  {
    alert: 'WavryRelayKernelDrops',
    fires: { wavry_relay_kernel_dropped_packets: '0+10x60' },
    silent: [{ wavry_relay_kernel_dropped_packets: '1000x60' }],
    after: 10,
    value: '50',
  },
  {
    alert: 'WavryRelaySessionsFull',
    fires: { wavry_relay_session_full_rejects: '0+4x60' },
    silent: [{ wavry_relay_session_full_rejects: '9x60' }],
    after: 10,
    value: '20',
  },
  {
    alert: 'WavryRelayOverloadShed',
    fires: { wavry_relay_overload_shed_packets: '0+4x60' },
    silent: [{ wavry_relay_overload_shed_packets: '9x60' }],
    after: 10,
    value: '20',
  },
  {
    alert: 'WavryRelaySessionsHigh',
    fires: { wavry_relay_active_sessions: '85x60', wavry_relay_max_sessions: '100x60' },
    silent: [{ wavry_relay_active_sessions: '80x60', wavry_relay_max_sessions: '100x60' }],
    after: 11,
    value: '85%',
  },
  {
    alert: 'WavryRelayBusy',
    fires: { wavry_relay_worker_busy_ratio: '0.75x60' },
    silent: [{ wavry_relay_worker_busy_ratio: '0.7x60' }],
    after: 11,
    value: '75%',
  },
  {
    alert: 'WavryRelayFleetNearCapacity',
    fires: { ...SERVES, wavry_relay_total_sessions: '60+1x60', wavry_relay_max_sessions: '100x60' },
    silent: [
      { ...SERVES, wavry_relay_total_sessions: '95x60', wavry_relay_max_sessions: '100x60' },
      // A handful more of an empty fleet is no trend.
      { ...SERVES, wavry_relay_total_sessions: '0+2x60', wavry_relay_max_sessions: '100x60' },
    ],
    after: 12,
    labels: FLEET,
    value: '132',
  },
  {
    alert: 'WavryRelayDrainStuck',
    fires: { wavry_relay_draining: '1x60', wavry_relay_total_sessions: '3x60' },
    silent: [{ wavry_relay_draining: '1x14 0x60', wavry_relay_total_sessions: '3x60' }],
    after: 16,
  },
  {
    alert: 'WavryRelayDrainedStays',
    fires: { wavry_relay_draining: '1x60', wavry_relay_total_sessions: '0x60' },
    silent: [{ wavry_relay_draining: '1x8 0x60', wavry_relay_total_sessions: '0x60' }],
    after: 11,
  },
];

suite('the alerts of a fleet', () => {
  const rules = rulesOf({ drain: { timeout: '5m' } });

  test('pass the checks of promtool', async () => {
    for (const spec of [{}, { autoscaling: { maxReplicas: 8 } }, { replicas: 0 }]) {
      assert.match(await checkRules(rulesOf(spec)), /SUCCESS/);
    }
  });

  test('each has a case here', () => {
    const tested = CASES.map(({ alert }) => alert);
    assert.deepEqual(
      alertsOf(rules)
        .map(({ alert }) => alert)
        .toSorted(),
      tested.toSorted(),
    );
  });

  for (const one of CASES) {
    test(`${one.alert} fires when it should, and else stays silent`, async () => {
      await testRules(rules, unitTests(rules, RELAY, OTHERS, one));
    });
  }

  test('near capacity is judged by maxReplicas where the fleet scales itself', async () => {
    const scaled = rulesOf({ size: 'Small', autoscaling: { maxReplicas: 8 } });
    const one: AlertCase = {
      alert: 'WavryRelayFleetNearCapacity',
      fires: { wavry_relay_total_sessions: '250+3x60' },
      silent: [{ wavry_relay_total_sessions: '390x60' }, { wavry_relay_total_sessions: '100+5x20' }],
      after: 12,
      labels: FLEET,
      value: '466',
    };
    await testRules(scaled, unitTests(scaled, RELAY, OTHERS, one));
  });

  test('relays that aren’t scraped by the operator’s wish aren’t missed, but told of where somebody else does', async () => {
    const unscraped = rulesOf({ monitoring: { serviceMonitor: false } });
    const down = CASES.find(({ alert }) => alert === 'WavryRelayFleetDown')!;
    const one: AlertCase = { ...down, silent: [...down.silent, { up: '_x60' }], absence: false };
    await testRules(unscraped, unitTests(unscraped, RELAY, OTHERS, one));
  });

  test('a fleet of no relays isn’t missed', () => {
    const names = alertsOf(rulesOf({ replicas: 0 })).map(({ alert }) => alert);
    assert.ok(!names.includes('WavryRelayFleetDown'));
  });
});

test('alerts link to the runbooks that the operator and its chart are told of', async () => {
  const runbooks = 'https://wiki.example.com/relays';
  const all = [
    ...alertingRules({ ...fleetOf({}), runbooks }),
    ...alertsOf(await operatorRules(`--set=monitoring.runbookUrl=${runbooks}`)),
  ];
  for (const { alert, annotations } of all)
    assert.equal(annotations.runbook_url, `${runbooks}#${alert.toLowerCase()}`);
  // As "helm upgrade --reuse-values" leaves it that comes from a chart without the value.
  for (const { annotations } of alertsOf(await operatorRules('--set=monitoring.runbookUrl=null')))
    assert.equal(annotations.runbook_url, undefined);
});

test('every alert has a runbook, and every runbook an alert', () => {
  const text = readFileSync(new URL('../../docs/runbooks.md', import.meta.url), 'utf8');
  const headings = [...text.matchAll(/^## (Wavry\w+)$/gm)].map(([, name]) => name!);
  const all = [...alertingRules(fleetOf({})), ...alertsOf(OPERATOR_RULES)];
  assert.deepEqual(new Set(headings), new Set(all.map(({ alert }) => alert)));
  for (const { alert, annotations } of all) {
    // The chart's default is the operator's. GitHub makes the anchor of a heading by lower case.
    assert.equal(annotations.runbook_url, `${RUNBOOKS}#${alert.toLowerCase()}`);
    assert.ok(headings.some((heading) => annotations.runbook_url === `${RUNBOOKS}#${heading.toLowerCase()}`));
    assert.match(annotations.summary, /^\S.*\.$/);
  }
});

function rulesOf(spec: Record<string, unknown>): RuleFile {
  return prometheusRule(fleetOf(spec))!['spec'] as RuleFile;
}

function fleetOf(spec: Record<string, unknown>): Fleet {
  return {
    name: 'games',
    namespace: 'wavry',
    uid: '00000000-0000-0000-0000-00000000000f',
    spec: specType.parse({ master: { url: 'https://master.example.com' }, ...spec }),
    defaultImage: 'ghcr.io/wavry/wavry-relay:0.1.0',
    runbooks: RUNBOOKS,
  };
}
