import assert from 'node:assert/strict';
import { test } from 'node:test';

import { type Line, rowPicture } from '../../../docs/pictures/panel-svg.ts';
import type { Panel } from '../../../operator/specs/dashboard-panels.ts';

const RANGE = { start: 1_700_000_000, end: 1_700_000_300 };

function panel(kind: Panel['kind'], change: Partial<Panel> = {}): Panel {
  return { title: 'Sessions & more', kind, unit: 'short', queries: [], ...change };
}

function line(label: string, ...values: readonly number[]): Line {
  return {
    label,
    points: values.map((value, index): [number, number] => [RANGE.start + index * 100, value]),
  };
}

test('a picture has every panel, series and value, and is well-formed', () => {
  const svg = rowPicture(
    'Fleet',
    [
      {
        panel: panel('gauge', { unit: 'percentunit', thresholds: [0.7, 0.8] }),
        lines: [line('load', 0.5, 0.85)],
      },
      { panel: panel('stat'), lines: [line('relays', 2, 3)] },
      {
        panel: panel('timeseries', { unit: 'bps' }),
        lines: [line('<received>', 0, 1.5e6), line('zero', 0, 0)],
      },
      {
        panel: panel('timeseries', { stacked: true }),
        lines: [line('a', 1, 2), line('b', 0, 0), line('c', 3, 4)],
      },
    ],
    RANGE,
  );
  assert.doesNotMatch(svg, /NaN|undefined|Infinity/);
  assert.equal(svg.match(/Sessions &amp; more/g)?.length, 4);
  for (const text of ['85%', '>3<', '&lt;received>', '1.5 Mb/s', '>a<', '>c<'])
    assert.ok(svg.includes(text), text);
  assert.ok(!svg.includes('>b<'), 'what is 0 throughout isn’t stacked');
  // c lies on a: 2 + 4 is the top of the axis.
  assert.match(svg, />6</);
});

test('a panel without data says so', () => {
  const svg = rowPicture(
    'Drains',
    [
      { panel: panel('stat'), lines: [] },
      { panel: panel('timeseries'), lines: [] },
      { panel: panel('timeseries', { stacked: true }), lines: [line('a', 0, 0)] },
    ],
    RANGE,
  );
  assert.equal(svg.match(/no data/g)?.length, 2);
  assert.equal(svg.match(/0 throughout/g)?.length, 1);
});
