import type { Panel } from '../../operator/specs/dashboard-panels.ts';

/** A series as Prometheus answers a range query: seconds, value. */
export interface Line {
  readonly label: string;
  readonly points: readonly (readonly [number, number])[];
}

export interface DrawnPanel {
  readonly panel: Panel;
  readonly lines: readonly Line[];
}

/** Unix seconds. */
export interface TimeRange {
  readonly start: number;
  readonly end: number;
}

const WIDTH = 1020;
const MARGIN = 16;
const GAP = 14;
const COLOURS = [
  '#0b62d6',
  '#2c8a4b',
  '#d2542a',
  '#c4369b',
  '#b8860b',
  '#6aa5f0',
  '#444444',
  '#8cc9a0',
  '#e59b7d',
  '#8a63c7',
];
const SMALL = { width: 188, height: 120 };
const LARGE = { width: (WIDTH - 2 * MARGIN - GAP) / 2, height: 246 };
const LEGEND_LINE = 16;
const MOST_LEGENDS = 6;

/** One row of the dashboard as a picture. A white ground suits dark pages too. */
export function rowPicture(title: string, panels: readonly DrawnPanel[], range: TimeRange): string {
  const small = panels.filter(({ panel }) => panel.kind !== 'timeseries');
  const large = panels.filter(({ panel }) => panel.kind === 'timeseries');
  const top = 44;
  const below = top + (small.length > 0 ? SMALL.height + GAP : 0);
  const height = below + Math.ceil(large.length / 2) * (LARGE.height + GAP) + 4;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    text(MARGIN, 28, title, 'font-size="16" font-weight="600" fill="#222222"'),
    ...small.flatMap((drawn, index) => number(drawn, MARGIN + index * (SMALL.width + 12), top)),
    ...large.flatMap((drawn, index) =>
      chart(
        drawn,
        range,
        MARGIN + (index % 2) * (LARGE.width + GAP),
        below + Math.floor(index / 2) * (LARGE.height + GAP),
        index % 2 === 0 && index === large.length - 1 ? WIDTH - 2 * MARGIN : LARGE.width,
      ),
    ),
    '</svg>',
    '',
  ].join('\n');
}

function number({ panel, lines }: DrawnPanel, x: number, y: number): string[] {
  const value = lines[0]?.points.at(-1)?.[1];
  const [warning = Infinity, error = Infinity] = panel.thresholds ?? [];
  const colour =
    value === undefined ? '#999999' : value >= error ? '#c22d2d' : value >= warning ? '#d2842a' : '#2c8a4b';
  const shown = value === undefined ? 'no data' : format(value, panel.unit);
  const marks = [frame(x, y, SMALL.width, SMALL.height), heading(x, y, panel.title)];
  if (panel.kind === 'gauge') {
    const middle = { x: x + SMALL.width / 2, y: y + 94 };
    marks.push(
      arc(middle, 1, '#e8e8e8'),
      arc(middle, Math.min(1, value ?? 0), colour),
      text(round(middle.x), middle.y, shown, `font-size="22" text-anchor="middle" fill="${colour}"`),
    );
  } else {
    marks.push(
      text(
        round(x + SMALL.width / 2),
        y + 80,
        shown,
        `font-size="30" text-anchor="middle" fill="${panel.thresholds ? colour : '#222222'}"`,
      ),
    );
  }
  return marks;
}

function arc(middle: { readonly x: number; readonly y: number }, share: number, colour: string): string {
  const radius = 52;
  const angle = Math.PI * (1 - share);
  const to = { x: middle.x + radius * Math.cos(angle), y: middle.y - radius * Math.sin(angle) };
  return `<path d="M${round(middle.x - radius)} ${middle.y} A${radius} ${radius} 0 0 1 ${round(to.x)} ${round(to.y)}" fill="none" stroke="${colour}" stroke-width="11"/>`;
}

function chart(
  { panel, lines }: DrawnPanel,
  range: TimeRange,
  x: number,
  y: number,
  width: number,
): string[] {
  const visible = lines.filter(
    ({ points }) => points.length > 0 && !(panel.stacked && points.every(([, value]) => value === 0)),
  );
  // Of many series the legend has those that say something.
  const legends = visible
    .map((line, index) => ({ line, colour: COLOURS[index % COLOURS.length]! }))
    .filter(({ line }, _, all) => all.length <= MOST_LEGENDS || line.points.some(([, value]) => value > 0))
    .slice(0, MOST_LEGENDS);
  const box = {
    left: x + 64,
    right: x + width - 28,
    top: y + 36,
    bottom: y + LARGE.height - 40 - Math.ceil(legends.length / 2) * LEGEND_LINE,
  };
  const stacks = panel.stacked ? stack(visible) : visible.map(({ points }) => points);
  const highest = Math.max(0, ...stacks.flatMap((points) => points.map(([, value]) => value)));
  const step = niceStep(highest, panel.unit);
  const most = Math.max(step, Math.ceil(highest / step - 1e-9) * step);
  const atX = (time: number): number =>
    round(box.left + ((time - range.start) / (range.end - range.start)) * (box.right - box.left));
  const atY = (value: number): number => round(box.bottom - (value / most) * (box.bottom - box.top));

  const marks = [frame(x, y, width, LARGE.height), heading(x, y, panel.title)];
  for (let value = 0; value <= most + step / 2; value += step) {
    marks.push(
      `<line x1="${box.left}" x2="${box.right}" y1="${atY(value)}" y2="${atY(value)}" stroke="#e6e6e6"/>`,
      text(
        box.left - 8,
        atY(value) + 4,
        format(value, panel.unit),
        'text-anchor="end" fill="#555555" font-size="11"',
      ),
    );
  }
  for (let time = range.start; time <= range.end; time += 60) {
    const label = `${Math.round((time - range.start) / 60)} min`;
    marks.push(text(atX(time), box.bottom + 16, label, 'text-anchor="middle" fill="#555555" font-size="11"'));
  }
  if (visible.length === 0) {
    marks.push(
      text(
        (box.left + box.right) / 2,
        (box.top + box.bottom) / 2,
        lines.length === 0 ? 'no data' : '0 throughout',
        'text-anchor="middle" fill="#999999"',
      ),
    );
  }
  stacks.forEach((points, index) => {
    const colour = COLOURS[index % COLOURS.length]!;
    const corner = ([time, value]: readonly [number, number]): string => `${atX(time)},${atY(value)}`;
    const path = points.map(corner).join(' ');
    if (panel.stacked) {
      const floor = (stacks[index - 1] ?? points.map(([time]): readonly [number, number] => [time, 0]))
        .toReversed()
        .map(corner);
      marks.push(`<polygon points="${path} ${floor.join(' ')}" fill="${colour}" fill-opacity="0.35"/>`);
    }
    // Lines that lie on each other are seen by their width.
    const widths = panel.stacked ? [1.2] : stacks.length === 1 ? [2] : [3.6, 2.4, 1.4];
    const stroke = widths[Math.min(index, widths.length - 1)];
    marks.push(
      `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="${stroke}" stroke-linejoin="round"/>`,
    );
  });
  legends.forEach(({ line, colour }, index) => {
    const left = x + 16 + (index % 2) * (LARGE.width / 2 - 10);
    const base =
      y + LARGE.height - 12 - (Math.ceil(legends.length / 2) - 1 - Math.floor(index / 2)) * LEGEND_LINE;
    marks.push(
      `<rect x="${left}" y="${base - 7}" width="12" height="4" fill="${colour}"/>`,
      text(left + 18, base, line.label, 'fill="#333333" font-size="11"'),
    );
  });
  return marks;
}

/** Each series on top of those before it. */
function stack(lines: readonly Line[]): Line['points'][] {
  const sums = new Map<number, number>();
  return lines.map(({ points }) =>
    points.map(([time, value]): readonly [number, number] => {
      const sum = (sums.get(time) ?? 0) + value;
      sums.set(time, sum);
      return [time, sum];
    }),
  );
}

function niceStep(highest: number, unit: Panel['unit']): number {
  if (highest === 0) return 1;
  const rough = highest / 4;
  const power = unit === 'bytes' ? 2 ** Math.floor(Math.log2(rough)) : 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough)!;
  return unit === 'short' ? Math.max(1, step) : step;
}

function format(value: number, unit: Panel['unit']): string {
  switch (unit) {
    case 'percentunit':
      return `${tidy(value * 100)}%`;
    case 'bytes':
      return `${tidy(value / 2 ** 20)} MiB`;
    case 's':
      return `${tidy(value)} s`;
    case 'bps':
      return scaled(value, 'b/s');
    case 'pps':
      return scaled(value, 'p/s');
    case 'cps':
      return `${tidy(value)}/s`;
    case 'short':
      break;
  }
  return tidy(value);
}

function scaled(value: number, unit: string): string {
  if (value >= 1e6) return `${tidy(value / 1e6)} M${unit}`;
  if (value >= 1e3) return `${tidy(value / 1e3)} k${unit}`;
  return `${tidy(value)} ${unit}`;
}

function tidy(value: number): string {
  return String(Number(value.toPrecision(value >= 100 ? 4 : 3)));
}

function frame(x: number, y: number, width: number, height: number): string {
  return `<rect x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${height}" rx="3" fill="#fbfbfb" stroke="#dddddd"/>`;
}

function heading(x: number, y: number, title: string): string {
  return text(round(x + 12), y + 22, title, 'font-weight="600" fill="#222222" font-size="13"');
}

function text(x: number, y: number, content: string, attributes: string): string {
  return `<text x="${round(x)}" y="${round(y)}" ${attributes}>${content.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
