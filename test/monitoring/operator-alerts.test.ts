import assert from 'node:assert/strict';
import { suite, test } from 'node:test';

import { type AlertCase, alertsOf, notHiddenTest, unitTests } from './alert-case.ts';
import { OPERATOR_RULES, operatorRules } from './operator-rules.ts';
import { checkRules, type RuleFile, testRules } from './promtool.ts';

const JOB = { job: 'wavry-relay-operator', namespace: 'wavry-system' };
const OPERATOR = { ...JOB, instance: '10.0.0.1:8080' };
/** That of another release, which looks after other namespaces. */
const OTHERS = { ...JOB, namespace: 'lab-system', instance: '10.0.0.2:8080' };
const FLEET = { namespace: 'wavry', fleet: 'games' };

const LEADS = 'leader_election_master_status{name="wavry-relay-operator"}';
const DONE = 'controller_runtime_reconcile_total{controller="wavryrelay",result="success"}';
const FAILED = 'controller_runtime_reconcile_total{controller="wavryrelay",result="error"}';
const ERRORS = 'controller_runtime_reconcile_errors_total{controller="wavryrelay"}';
const FLEETS = 'wavry_operator_fleet_spec_replicas{namespace="wavry",fleet="games"}';
const RUNNING = 'workqueue_longest_running_processor_seconds{name="wavryrelay"}';
const SCALED = 'wavry_operator_fleet_autoscaling_bound{namespace="wavry",fleet="games",bound="max"}';
const condition = (type: string, status: string, reason = ''): string =>
  `wavry_operator_fleet_condition{namespace="wavry",fleet="games",type="${type}",status="${status}",reason="${reason}"}`;

const CASES: readonly AlertCase[] = [
  {
    alert: 'WavryOperatorDown',
    fires: { up: '0x60' },
    silent: [{ [LEADS]: '1x60' }, { [LEADS]: '_x3 0x60' }],
    after: 6,
    labels: { name: 'wavry-relay-operator', namespace: 'wavry-system' },
  },
  {
    alert: 'WavryOperatorNoLeader',
    fires: { [LEADS]: '0x60' },
    silent: [{ [LEADS]: '1x60' }, { [LEADS]: '0 1x60' }],
    after: 3,
    labels: JOB,
  },
  {
    alert: 'WavryOperatorNotReconciling',
    fires: { [LEADS]: '1x60', [DONE]: '7x60', [FLEETS]: '2x60' },
    silent: [
      { [LEADS]: '1x60', [DONE]: '0+2x60', [FLEETS]: '2x60' },
      { [LEADS]: '1x60', [DONE]: '7x60' },
    ],
    after: 11,
    labels: JOB,
  },
  {
    alert: 'WavryOperatorHangs',
    fires: { [RUNNING]: '0+60x60' },
    silent: [{ [RUNNING]: '200x60' }],
    after: 10,
    labels: JOB,
    value: '10m 0s',
  },
  {
    alert: 'WavryOperatorReconcileErrors',
    fires: { [DONE]: '0+4x60', [FAILED]: '0+1x60', [ERRORS]: '0+1x60' },
    silent: [
      { [DONE]: '0+19x60', [FAILED]: '0+1x60', [ERRORS]: '0+1x60' },
      { [ERRORS]: '0x60', [DONE]: '0x60' },
    ],
    after: 20,
    labels: JOB,
    value: '20%',
  },
  {
    alert: 'WavryRelayAutoscalerBlind',
    fires: { [SCALED]: '8x60', [FLEETS]: '2x60', [condition('Autoscaling', 'False')]: '1x60' },
    silent: [
      { [SCALED]: '8x60', [FLEETS]: '2x60', [condition('Autoscaling', 'True')]: '1x60' },
      // Scaled to zero by hand, which turns autoscaling off.
      { [SCALED]: '8x60', [FLEETS]: '0x60', [condition('Autoscaling', 'False')]: '1x60' },
      // It scales, and finds no nodes.
      { [SCALED]: '8x60', [FLEETS]: '2x60', [condition('Autoscaling', 'False', 'Unschedulable')]: '1x60' },
      // A fleet that isn't to be scaled.
      { [condition('Autoscaling', 'False')]: '1x60' },
    ],
    after: 11,
    labels: FLEET,
  },
  {
    alert: 'WavryRelayUnschedulable',
    fires: { [condition('Ready', 'False', 'Unschedulable')]: '1x60' },
    silent: [
      { [condition('Ready', 'False')]: '1x60' },
      { [condition('Ready', 'True')]: '1x60' },
      // Nodes came.
      { [condition('Ready', 'False', 'Unschedulable')]: '1x8 stale' },
    ],
    after: 11,
    labels: FLEET,
  },
  {
    alert: 'WavryRelayRolloutStuck',
    fires: { [condition('Progressing', 'False')]: '1x60' },
    silent: [
      { [condition('Progressing', 'True')]: '1x60' },
      { [condition('Progressing', 'Unknown')]: '1x60' },
    ],
    after: 6,
    labels: FLEET,
  },
  {
    alert: 'WavryRelayDegraded',
    fires: { [condition('Degraded', 'True')]: '1x60' },
    silent: [{ [condition('Degraded', 'False')]: '1x60' }],
    after: 11,
    labels: FLEET,
  },
];

suite('the alerts of the operator', () => {
  test('pass the checks of promtool', async () => {
    assert.match(await checkRules(OPERATOR_RULES), /SUCCESS/);
  });

  test('each has a case here', () => {
    assert.deepEqual(
      alertsOf(OPERATOR_RULES)
        .map(({ alert }) => alert)
        .toSorted(),
      CASES.map(({ alert }) => alert).toSorted(),
    );
  });

  for (const one of CASES) {
    test(`${one.alert} fires when it should, and else stays silent`, async () => {
      await testRules(OPERATOR_RULES, unitTests(OPERATOR_RULES, OPERATOR, undefined, one));
    });
  }

  for (const one of CASES.filter(({ alert }) => alert.startsWith('WavryOperator'))) {
    test(`${one.alert} fires although the operator of another release is well`, async () => {
      await testRules(OPERATOR_RULES, [notHiddenTest(OPERATOR_RULES, OPERATOR, OTHERS, one)]);
    });
  }

  test('an operator that isn’t scraped by the chart’s doing isn’t missed', async () => {
    const names = (rules: RuleFile): string[] => alertsOf(rules).map(({ alert }) => alert);
    const unscraped = await operatorRules();
    assert.deepEqual(
      names(unscraped),
      names(OPERATOR_RULES).filter((name) => name !== 'WavryOperatorDown'),
    );
  });
});
