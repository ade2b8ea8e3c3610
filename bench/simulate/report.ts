import type { Figures, RunResult } from './books.ts';

/** Figures that mean the same for fleets of any size: what baselines are kept of. */
export interface Rates {
  readonly lost: number;
  /** Percent of the sessions asked for and under way at the start. */
  readonly refusedPct: number;
  readonly gaveUpPct: number;
  readonly cutByTimeoutPct: number;
  readonly cutByNodeLossPct: number;
  /** Relay-hours over those of the clairvoyant, percent beyond 100. */
  readonly beyondClairvoyantPct: number;
  readonly reversals: number;
}

export function ratesOf(figures: Figures): Rates {
  const people = figures.asked + figures.underWay;
  const percent = (count: number): number => (100 * count) / Math.max(1, people);
  return {
    lost: figures.lost,
    refusedPct: percent(figures.refused),
    gaveUpPct: percent(figures.gaveUp),
    cutByTimeoutPct: percent(figures.cutByTimeout),
    cutByNodeLossPct: percent(figures.cutByNodeLoss),
    beyondClairvoyantPct: 100 * (figures.relayHours / figures.clairvoyantRelayHours - 1),
    reversals: figures.reversals,
  };
}

/** One line that says it all. */
export function headline({ figures }: RunResult): string {
  const rates = ratesOf(figures);
  return [
    `${group(figures.asked + figures.underWay)} sessions: ${figures.lost} lost`,
    `${rates.refusedPct.toFixed(2)} % refused`,
    `${rates.cutByTimeoutPct.toFixed(2)} % cut by drain.timeout`,
    ...(figures.cutByNodeLoss > 0 ? [`${rates.cutByNodeLossPct.toFixed(2)} % cut by node loss`] : []),
    `${signed(rates.beyondClairvoyantPct)} % relay-hours to the clairvoyant`,
  ].join(' · ');
}

/** What a person reads in a terminal. */
export function reportText(run: RunResult, seed: number, tookMs: number): string {
  const { scenario, figures } = run;
  const rates = ratesOf(figures);
  const rows: readonly (readonly [string, string])[] = [
    ['sessions asked for', `${group(figures.asked)}, and ${group(figures.underWay)} under way at the start`],
    ['lost by a decision', group(figures.lost)],
    ['cut by drain.timeout', `${group(figures.cutByTimeout)} (${rates.cutByTimeoutPct.toFixed(2)} %)`],
    ['cut by node loss', `${group(figures.cutByNodeLoss)} (${rates.cutByNodeLossPct.toFixed(2)} %)`],
    [
      'refused at least once',
      `${group(figures.refused)} (${rates.refusedPct.toFixed(2)} %), of whom ${group(figures.gaveUp)} gave up`,
    ],
    ['found Master away', group(figures.masterAway)],
    [
      'relay-hours',
      `${group(Math.round(figures.relayHours))}; clairvoyant ${group(Math.round(figures.clairvoyantRelayHours))} (${signed(rates.beyondClairvoyantPct)} %), no packing below ${group(Math.round(figures.floorRelayHours))}`,
    ],
    ['most relays at once', group(figures.mostRelays)],
    [
      'decisions of the HPA',
      `${figures.scaleUps} up, ${figures.scaleDowns} down, ${figures.reversals} that undo one of the half hour before`,
    ],
    ['relays', `${figures.created} created, ${figures.drained} drained, ${figures.takenBack} taken back`],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return [
    `${scenario.title} (${scenario.name}, ${scenario.relays} relays, seed ${seed})`,
    ...rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`),
    `  ${'simulated'.padEnd(width)}  ${(scenario.durationMs / 3_600_000).toFixed(1)} h in ${(tookMs / 1000).toFixed(1)} s, ${group(run.plans)} plans`,
    '',
  ].join('\n');
}

function signed(value: number): string {
  return `${value < 0 ? '' : '+'}${value.toFixed(1)}`;
}

function group(value: number): string {
  return String(value).replaceAll(/\B(?=(\d{3})+$)/g, ',');
}
