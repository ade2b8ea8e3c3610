/**
 * The algorithm of Kubernetes' HorizontalPodAutoscaler controller for Object metrics and a behavior, as in v1.36
 * (pkg/controller/podautoscaler/horizontal.go and replica_calculator.go). Pure: the clock comes in with each call.
 */

export interface ScalingPolicy {
  readonly type: 'Pods' | 'Percent';
  readonly value: number;
  readonly periodSeconds: number;
}

/** `HPAScalingRules`; what is absent gets the API server's default. */
export interface ScalingRules {
  readonly stabilizationWindowSeconds?: number;
  readonly selectPolicy?: 'Max' | 'Min' | 'Disabled';
  readonly policies?: readonly ScalingPolicy[];
}

export interface ObjectMetric {
  readonly name: string;
  readonly type: 'AverageValue' | 'Value';
  readonly target: number;
}

export interface HpaSpec {
  readonly minReplicas: number;
  readonly maxReplicas: number;
  readonly metrics: readonly ObjectMetric[];
  readonly behavior: { readonly scaleUp?: ScalingRules; readonly scaleDown?: ScalingRules };
}

/** What the controller reads at a sync. */
export interface ScaleReading {
  readonly specReplicas: number;
  /** `status.replicas` of the scale subresource. */
  readonly statusReplicas: number;
  readonly readyPods: number;
  /** Undefined: the metrics API gives no answer, or an error. */
  readonly metric: (name: string) => number | undefined;
}

export interface HpaDecision {
  readonly replicas: number;
  /** What the metrics alone ask for; undefined when they weren't asked, or couldn't be. */
  readonly proposal: number | undefined;
}

export interface ScaleEvent {
  readonly change: number;
  readonly atMs: number;
}

interface Recommendation {
  readonly replicas: number;
  readonly atMs: number;
}

/** --horizontal-pod-autoscaler-tolerance and --horizontal-pod-autoscaler-downscale-stabilization. */
const TOLERANCE = 0.1;
const DOWNSCALE_STABILIZATION_SECONDS = 300;

export class HpaController {
  readonly #spec: HpaSpec;
  readonly #up: Required<ScalingRules>;
  readonly #down: Required<ScalingRules>;
  #recommendations: Recommendation[] = [];
  #upEvents: ScaleEvent[] = [];
  #downEvents: ScaleEvent[] = [];

  constructor(spec: HpaSpec) {
    this.#spec = spec;
    this.#up = scaleUpRules(spec.behavior.scaleUp);
    this.#down = scaleDownRules(spec.behavior.scaleDown);
  }

  /** One `reconcileAutoscaler`; the answer becomes `spec.replicas`. */
  sync(nowMs: number, reading: ScaleReading): HpaDecision {
    const { minReplicas, maxReplicas, metrics } = this.#spec;
    const current = reading.specReplicas;
    if (this.#recommendations.length === 0) this.#recommendations.push({ replicas: current, atMs: nowMs });
    if (current === 0) return { replicas: 0, proposal: undefined };
    if (current > maxReplicas) return this.#scale(nowMs, current, maxReplicas, undefined);
    if (current < minReplicas) return this.#scale(nowMs, current, minReplicas, undefined);

    const proposal = proposedReplicas(metrics, reading);
    if (proposal === undefined) return { replicas: current, proposal };
    const stabilized = this.#stabilize(nowMs, current, proposal);
    const limited = limitRate({
      nowMs,
      current,
      desired: stabilized,
      minReplicas,
      maxReplicas,
      up: this.#up,
      down: this.#down,
      upEvents: this.#upEvents,
      downEvents: this.#downEvents,
    });
    return this.#scale(nowMs, current, limited, proposal);
  }

  /** `stabilizeRecommendationWithBehaviors`: the lowest of the up window, the highest of the down window. */
  #stabilize(nowMs: number, current: number, desired: number): number {
    const result = stabilized(this.#recommendations, {
      nowMs,
      current,
      desired,
      upSeconds: this.#up.stabilizationWindowSeconds,
      downSeconds: this.#down.stabilizationWindowSeconds,
    });
    const windowMs =
      1000 * Math.max(this.#up.stabilizationWindowSeconds, this.#down.stabilizationWindowSeconds);
    this.#recommendations = this.#recommendations.filter(({ atMs }) => atMs >= nowMs - windowMs);
    this.#recommendations.push({ replicas: desired, atMs: nowMs });
    return result;
  }

  #scale(nowMs: number, from: number, to: number, proposal: number | undefined): HpaDecision {
    if (to > from) this.#upEvents = remembered(this.#upEvents, this.#up, { change: to - from, atMs: nowMs });
    if (to < from) {
      this.#downEvents = remembered(this.#downEvents, this.#down, { change: from - to, atMs: nowMs });
    }
    return { replicas: to, proposal };
  }
}

/**
 * `computeReplicasForMetrics`: the largest proposal. Undefined when no metric could be read, or when one couldn't and the
 * others would shrink the target.
 */
export function proposedReplicas(
  metrics: readonly ObjectMetric[],
  reading: ScaleReading,
): number | undefined {
  let replicas = 0;
  let invalid = 0;
  for (const { name, type, target } of metrics) {
    const usage = reading.metric(name);
    if (usage === undefined) {
      invalid += 1;
      continue;
    }
    const proposal =
      type === 'Value'
        ? byValue(reading.specReplicas, reading.readyPods, usage / target)
        : byAverage(reading.statusReplicas, usage, target);
    if (replicas === 0 || proposal > replicas) replicas = proposal;
  }
  if (invalid >= metrics.length || (invalid > 0 && replicas < reading.specReplicas)) return undefined;
  return replicas;
}

/** `GetObjectMetricReplicas`. */
function byValue(current: number, readyPods: number, ratio: number): number {
  if (current === 0) return Math.ceil(ratio);
  return isWithinTolerance(ratio) ? current : Math.ceil(ratio * readyPods);
}

/** `GetObjectPerPodMetricReplicas`. */
function byAverage(statusReplicas: number, usage: number, target: number): number {
  return isWithinTolerance(usage / (target * statusReplicas)) ? statusReplicas : Math.ceil(usage / target);
}

function isWithinTolerance(ratio: number): boolean {
  return 1 - TOLERANCE <= ratio && ratio <= 1 + TOLERANCE;
}

export interface Stabilization {
  readonly nowMs: number;
  readonly current: number;
  readonly desired: number;
  readonly upSeconds: number;
  readonly downSeconds: number;
}

export function stabilized(
  recommendations: readonly { readonly replicas: number; readonly atMs: number }[],
  { nowMs, current, desired, upSeconds, downSeconds }: Stabilization,
): number {
  let up = desired;
  let down = desired;
  for (const { replicas, atMs } of recommendations) {
    if (atMs > nowMs - 1000 * upSeconds) up = Math.min(up, replicas);
    if (atMs > nowMs - 1000 * downSeconds) down = Math.max(down, replicas);
  }
  return Math.min(Math.max(current, up), down);
}

export interface RateLimit {
  readonly nowMs: number;
  readonly current: number;
  readonly desired: number;
  readonly minReplicas: number;
  readonly maxReplicas: number;
  readonly up: Required<ScalingRules>;
  readonly down: Required<ScalingRules>;
  readonly upEvents: readonly ScaleEvent[];
  readonly downEvents: readonly ScaleEvent[];
}

/** `convertDesiredReplicasWithBehaviorRate`. */
export function limitRate(limit: RateLimit): number {
  const { current, desired, minReplicas, maxReplicas } = limit;
  if (desired > current) {
    return Math.min(desired, maxReplicas, Math.max(current, scaleUpLimit(limit)));
  }
  if (desired < current) {
    return Math.max(desired, minReplicas, Math.min(current, scaleDownLimit(limit)));
  }
  return desired;
}

/** `calculateScaleUpLimitWithScalingRules`. */
export function scaleUpLimit({
  nowMs,
  current,
  up,
  upEvents,
  downEvents,
}: Pick<RateLimit, 'nowMs' | 'current' | 'up' | 'upEvents' | 'downEvents'>): number {
  if (up.selectPolicy === 'Disabled') return current;
  const limits = up.policies.map(({ type, value, periodSeconds }) => {
    const start =
      current - changeWithin(upEvents, nowMs, periodSeconds) + changeWithin(downEvents, nowMs, periodSeconds);
    return type === 'Pods' ? start + value : Math.ceil(start * (1 + value / 100));
  });
  return up.selectPolicy === 'Min' ? Math.min(...limits) : Math.max(...limits);
}

/** `calculateScaleDownLimitWithBehaviors`. */
export function scaleDownLimit({
  nowMs,
  current,
  down,
  upEvents,
  downEvents,
}: Pick<RateLimit, 'nowMs' | 'current' | 'down' | 'upEvents' | 'downEvents'>): number {
  if (down.selectPolicy === 'Disabled') return current;
  const limits = down.policies.map(({ type, value, periodSeconds }) => {
    const start =
      current - changeWithin(upEvents, nowMs, periodSeconds) + changeWithin(downEvents, nowMs, periodSeconds);
    return type === 'Pods' ? start - value : Math.trunc(start * (1 - value / 100));
  });
  return down.selectPolicy === 'Min' ? Math.max(...limits) : Math.min(...limits);
}

/** `GenerateHPAScaleUpRules` (pkg/apis/autoscaling/v2/defaults.go). */
export function scaleUpRules(rules: ScalingRules | undefined): Required<ScalingRules> {
  return {
    stabilizationWindowSeconds: 0,
    selectPolicy: 'Max',
    policies: [
      { type: 'Pods', value: 4, periodSeconds: 15 },
      { type: 'Percent', value: 100, periodSeconds: 15 },
    ],
    ...rules,
  };
}

/** `GenerateHPAScaleDownRules`, with the controller's own default for the window. */
export function scaleDownRules(rules: ScalingRules | undefined): Required<ScalingRules> {
  return {
    stabilizationWindowSeconds: DOWNSCALE_STABILIZATION_SECONDS,
    selectPolicy: 'Max',
    policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }],
    ...rules,
  };
}

function changeWithin(events: readonly ScaleEvent[], nowMs: number, seconds: number): number {
  let sum = 0;
  for (const { change, atMs } of events) if (atMs > nowMs - 1000 * seconds) sum += change;
  return sum;
}

/** Events older than the longest period count nowhere and make room. */
function remembered(
  events: readonly ScaleEvent[],
  rules: Required<ScalingRules>,
  event: ScaleEvent,
): ScaleEvent[] {
  const longestMs = 1000 * Math.max(0, ...rules.policies.map(({ periodSeconds }) => periodSeconds));
  return [...events.filter(({ atMs }) => atMs >= event.atMs - longestMs), event];
}
