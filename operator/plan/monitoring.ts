/** Kinds of the Prometheus Operator, whose CRDs a cluster may lack, and the fields of spec.monitoring that ask for them. */
export const MONITORING = [
  { kind: 'ServiceMonitor', field: 'serviceMonitor' },
  { kind: 'PrometheusRule', field: 'prometheusRule' },
] as const;
