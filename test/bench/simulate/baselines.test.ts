import assert from 'node:assert/strict';
import { test } from 'node:test';

import { type Rates, ratesOf } from '../../../bench/simulate/report.ts';
import { findScenario, readBaselines, type Recorded, shippedNames } from '../../../bench/simulate/shipped.ts';
import { Simulation } from '../../../bench/simulate/simulation.ts';

// A shipped scenario may not become worse than it was recorded, by more than a twentieth or, where there was next to
// nothing, a fiftieth of a percent. A change that is worth it is recorded by "npm run simulate -- --record".

const WORSE = 1.05;
const LEAST_PCT = 0.02;

const TARGETS: ReadonlyMap<string, Partial<Rates>> = new Map([
  ['daily-curve', { beyondClairvoyantPct: 25, refusedPct: 0.5 }],
  ['rollout-at-peak', { refusedPct: 0.5 }],
]);

const baselines = readBaselines();

test('every shipped scenario has its baseline', () => {
  assert.deepEqual(Object.keys(baselines).toSorted(), shippedNames());
});

for (const [name, { small, shipped }] of Object.entries(baselines)) {
  test(`${name} is as good as it was recorded`, () => hold(name, small));
  // Of the others no more is asked at their full size, and these two take most of a minute.
  if (!TARGETS.has(name)) continue;
  test(`${name}, as it is shipped, meets its targets`, { timeout: 600_000 }, () => {
    assert.equal(shipped.relays, findScenario(name).relays);
    hold(name, shipped);
  });
}

function hold(name: string, recorded: Recorded): void {
  const { figures } = new Simulation(findScenario(name, recorded.relays), 1).run();
  const rates = ratesOf(figures);
  for (const [what, before] of Object.entries(recorded.rates) as [keyof Rates, number][]) {
    const most = what === 'reversals' ? before + 1 : before * WORSE + LEAST_PCT;
    assert.ok(rates[what] <= most, `${what} is ${rates[what]}, recorded ${before}`);
  }
  assert.equal(rates.lost, 0, `${name}: sessions lost`);
  for (const [what, target] of Object.entries(TARGETS.get(name) ?? {}) as [keyof Rates, number][]) {
    assert.ok(rates[what] < target, `${what} is ${rates[what]}, not below ${target}`);
  }
}
