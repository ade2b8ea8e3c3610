import type { AlertingRule } from '../../operator/specs/alerts.ts';
import type { RecordingRule } from '../../operator/specs/recording-rules.ts';
import type { AlertExpectation, RuleFile, Series, UnitTest } from './promtool.ts';

/** When one alert fires and when it doesn't. */
export interface AlertCase {
  readonly alert: string;
  /** Series by metric name, each with the labels of the case. */
  readonly fires: SeriesByName;
  /** Each a world that is nearly as bad and must stay silent. */
  readonly silent: readonly SeriesByName[];
  /** Minutes after which it fires. */
  readonly after: number;
  /** The labels of the alert; those of the series when absent. */
  readonly labels?: Readonly<Record<string, string>>;
  /** The value as the description prints it. */
  readonly value?: string;
  /** It is the absence of series that fires: those of others can't hide it. */
  readonly absence?: boolean;
}

type Labels = Readonly<Record<string, string>>;
type SeriesByName = Readonly<Record<string, string>>;

/**
 * promtool's tests of a case: it fires with its texts filled in; not before its time; not in the worlds that are nearly
 * as bad; and not when the bad series belong to somebody else.
 */
export function unitTests(
  rules: RuleFile,
  labels: Labels,
  others: Labels | undefined,
  one: AlertCase,
): UnitTest[] {
  const { alert, fires, silent, after } = one;
  const rule = ruleOf(rules, alert);
  const firing = firingOf(rule, labels, one);
  const quiet = (minutes: number): AlertExpectation => ({
    alertname: alert,
    eval_time: `${minutes}m`,
    exp_alerts: [],
  });
  const test = (
    what: string,
    input: readonly Series[],
    alert_rule_test: readonly AlertExpectation[],
  ): UnitTest => ({ name: `${alert} ${what}`, interval: '1m', input_series: input, alert_rule_test });
  const tooEarly = rule.for === undefined ? [] : [quiet(Math.ceil(minutesOf(rule.for)) - 1)];
  return [
    test('fires, and not before its time', series(fires, labels), [...tooEarly, firing]),
    ...silent.map((world, index) => test(`stays silent ${index + 1}`, series(world, labels), [quiet(after)])),
    ...(others === undefined
      ? []
      : [
          test('is about this fleet alone', series(one.absence ? silent[0]! : fires, others), [
            one.absence ? firing : quiet(after),
          ]),
        ]),
  ];
}

/** promtool's test that a case fires although somebody else of whom the same rule judges is well. */
export function notHiddenTest(rules: RuleFile, labels: Labels, others: Labels, one: AlertCase): UnitTest {
  return {
    name: `${one.alert} isn't hidden by others`,
    interval: '1m',
    input_series: [...series(one.fires, labels), ...series(one.silent[0]!, others)],
    alert_rule_test: [firingOf(ruleOf(rules, one.alert), labels, one)],
  };
}

function ruleOf(rules: RuleFile, alert: string): AlertingRule {
  const rule = alertsOf(rules).find((candidate) => candidate.alert === alert);
  if (!rule) throw new Error(`there is no alert ${alert}`);
  return rule;
}

function firingOf(rule: AlertingRule, labels: Labels, one: AlertCase): AlertExpectation {
  const expected = one.labels ?? labels;
  return {
    alertname: one.alert,
    eval_time: `${one.after}m`,
    exp_alerts: [
      {
        exp_labels: { ...expected, ...rule.labels },
        exp_annotations: Object.fromEntries(
          Object.entries(rule.annotations).map(([key, text]) => [key, expand(text, expected, one.value)]),
        ),
      },
    ],
  };
}

export function alertsOf(rules: RuleFile): AlertingRule[] {
  return rules.groups
    .flatMap((group): readonly (RecordingRule | AlertingRule)[] => group.rules)
    .filter((rule) => 'alert' in rule);
}

function series(world: SeriesByName, labels: Labels): Series[] {
  return Object.entries(world).map(([metric, values]) => {
    const [, name = metric, own = ''] = /^([^{]+)(?:\{(.*)\})?$/.exec(metric) ?? [];
    // What a series says of itself goes before what is said of its target, as with honorLabels.
    const pairs = Object.entries(labels)
      .filter(([key]) => !`,${own}`.includes(`,${key}=`))
      .map(([key, value]) => `${key}="${value}"`);
    return { series: `${name}{${[...pairs, ...(own === '' ? [] : [own])].join(',')}}`, values };
  });
}

/** What Prometheus makes of a text; the value comes ready printed. */
function expand(text: string, labels: Labels, value: string | undefined): string {
  return text.replaceAll(/\{\{ (.*?) \}\}/g, (_, expression: string) => {
    const label = /^\$labels\.(\w+)$/.exec(expression)?.[1];
    const filled = label === undefined ? value : labels[label];
    if (filled === undefined) throw new Error(`nothing fills {{ ${expression} }} of "${text}"`);
    return filled;
  });
}

function minutesOf(duration: string): number {
  const [, amount, unit] = /^(\d+)([sm])$/.exec(duration)!;
  return unit === 's' ? Number(amount) / 60 : Number(amount);
}
