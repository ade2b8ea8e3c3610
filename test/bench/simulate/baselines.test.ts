import assert from 'node:assert/strict';
import { test } from 'node:test';

import { type Rates, ratesOf } from '../../../bench/simulate/report.ts';
import { findScenario, readBaselines, shippedNames } from '../../../bench/simulate/shipped.ts';
import { Simulation } from '../../../bench/simulate/simulation.ts';

// A shipped scenario may not become worse than it was recorded, by more than a twentieth or, where there was next to
// nothing, a fiftieth of a percent. A change that is worth it is recorded by "npm run simulate -- --record".

const WORSE = 1.05;
const LEAST_PCT = 0.02;

const baselines = readBaselines();

test('every shipped scenario has its baseline', () => {
  assert.deepEqual(Object.keys(baselines).toSorted(), shippedNames());
});

test('as they are shipped, the scenarios meet their targets', () => {
  for (const [name, { shipped }] of Object.entries(baselines)) {
    assert.equal(shipped.relays, findScenario(name).relays);
    holdTargets(name, shipped.rates);
  }
});

for (const [name, { small }] of Object.entries(baselines)) {
  test(`${name} is as good as it was recorded`, () => {
    const { figures } = new Simulation(findScenario(name, small.relays), 1).run();
    const rates = ratesOf(figures);
    for (const [what, recorded] of Object.entries(small.rates) as [keyof Rates, number][]) {
      const most = what === 'reversals' ? recorded + 1 : recorded * WORSE + LEAST_PCT;
      assert.ok(rates[what] <= most, `${what} is ${rates[what]}, recorded ${recorded}`);
    }
    holdTargets(name, rates);
  });
}

function holdTargets(name: string, rates: Rates): void {
  assert.equal(rates.lost, 0, `${name}: sessions lost`);
  if (name === 'daily-curve') assert.ok(rates.beyondClairvoyantPct < 25);
  if (name === 'daily-curve' || name === 'rollout-at-peak') assert.ok(rates.refusedPct < 0.5);
}
