import { type AlertingRule, alertingRules } from './alerts.ts';
import type { Fleet } from './fleet.ts';
import { fleetObjectName } from './names.ts';
import { type AppliedObject, fleetLabels, ownedBy } from './object.ts';
import { type RecordingRule, recordingRules } from './recording-rules.ts';

/** https://prometheus-operator.dev/docs/api-reference/api/#monitoring.coreos.com/v1.PrometheusRule */
export function prometheusRule(fleet: Fleet): AppliedObject | undefined {
  const { monitoring } = fleet.spec;
  if (monitoring.prometheusRule === false) return undefined;
  return {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PrometheusRule',
    metadata: {
      name: fleetObjectName(fleet.name),
      namespace: fleet.namespace,
      labels: { ...monitoring.labels, ...fleetLabels(fleet) },
      ownerReferences: [ownedBy(fleet)],
    },
    spec: { groups: ruleGroups(fleet) },
  };
}

/** As a rule file of Prometheus has them too. */
export function ruleGroups(
  fleet: Fleet,
): { readonly name: string; readonly rules: readonly (RecordingRule | AlertingRule)[] }[] {
  return [
    { name: `${fleet.name}.rules`, rules: recordingRules(fleet) },
    { name: `${fleet.name}.alerts`, rules: alertingRules(fleet) },
  ];
}
