import type { RunResult, Sample } from './books.ts';
import { headline } from './report.ts';
import type { Incident } from './scenario.ts';

const WIDTH = 1020;
const LEFT = 64;
const RIGHT = 24;
const RELAYS = { top: 116, height: 300 };
const TROUBLE = { top: 452, height: 90 };
const HEIGHT = 592;

const BANDS = [
  { name: 'serving', colour: '#6aa5f0', of: (sample: Sample) => sample.serving },
  { name: 'starting', colour: '#e0b84a', of: (sample: Sample) => sample.starting },
  { name: 'draining', colour: '#c4a3d8', of: (sample: Sample) => sample.draining },
] as const;
const DESIRED = '#222222';
const NEEDED = '#2c8a4b';
const REFUSED = '#d2342a';
const CUT = '#8a8a8a';
const GRID = '#d8d8d8';

/** One run over time: its relays, what was needed of them, and whom it cost something. A white ground suits dark pages too. */
export function runPlot(run: RunResult): string {
  const { scenario, samples } = run;
  const most = Math.max(
    ...samples.map((sample) => Math.max(sample.desired, sample.serving + sample.starting + sample.draining)),
  );
  const relayTicks = ticks(most);
  const x = (atMs: number): number => LEFT + (atMs / scenario.durationMs) * (WIDTH - LEFT - RIGHT);
  const y = (relays: number): number => RELAYS.top + RELAYS.height * (1 - relays / relayTicks.at(-1)!);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    text(16, 28, scenario.title, 'font-size="16" font-weight="600"'),
    text(16, 50, headline(run), 'fill="#555555"'),
    ...legend(),
    ...relayTicks.flatMap((tick) => [
      rule(LEFT, y(tick), WIDTH - RIGHT, y(tick), GRID),
      text(LEFT - 8, round(y(tick) + 4), `${tick}`, 'text-anchor="end" fill="#555555"'),
    ]),
    text(16, RELAYS.top - 12, 'Relays', 'font-weight="600"'),
    ...bands(samples, x, y),
    line(samples, x, (sample) => y(sample.sessions / scenario.targetSessions), NEEDED, '2'),
    line(samples, x, (sample) => y(sample.desired), DESIRED, '1.5'),
    ...scenario.incidents.flatMap((incident) => incidentMarks(incident, x)),
    ...troubles(run, x),
    ...hours(scenario.durationMs, x),
    '</svg>',
    '',
  ].join('\n');
}

function legend(): string[] {
  let at = 16;
  const entry = (width: number, mark: (at: number) => string, label: string): string[] => {
    const marks = [mark(at), text(at + 20, 76, label)];
    at += width;
    return marks;
  };
  return [
    ...BANDS.flatMap(({ name, colour }) =>
      entry(92, (left) => `<rect x="${left}" y="66" width="14" height="11" fill="${colour}"/>`, name),
    ),
    ...entry(150, (left) => rule(left, 72, left + 14, 72, DESIRED, '2'), 'spec.replicas (HPA)'),
    ...entry(236, (left) => rule(left, 72, left + 14, 72, NEEDED, '3'), 'sessions held / target of a relay'),
    ...entry(
      124,
      (left) => `<rect x="${left}" y="66" width="14" height="11" fill="${REFUSED}"/>`,
      'people refused',
    ),
    ...entry(
      160,
      (left) => `<rect x="${left}" y="66" width="14" height="11" fill="${CUT}"/>`,
      'sessions cut',
    ),
  ];
}

function bands(
  samples: readonly Sample[],
  x: (ms: number) => number,
  y: (relays: number) => number,
): string[] {
  const below = samples.map(() => 0);
  return BANDS.map(({ colour, of }) => {
    const lower = samples.map(({ atMs }, index) => `${round(x(atMs))},${round(y(below[index]!))}`);
    for (const [index, sample] of samples.entries()) below[index]! += of(sample);
    const upper = samples.map(({ atMs }, index) => `${round(x(atMs))},${round(y(below[index]!))}`);
    return `<polygon points="${[...upper, ...lower.toReversed()].join(' ')}" fill="${colour}"/>`;
  });
}

function line(
  samples: readonly Sample[],
  x: (ms: number) => number,
  y: (sample: Sample) => number,
  colour: string,
  width: string,
): string {
  const points = samples.map((sample) => `${round(x(sample.atMs))},${round(y(sample))}`);
  return `<polyline points="${points.join(' ')}" fill="none" stroke="${colour}" stroke-width="${width}"/>`;
}

/** Refused and cut in each minute, the one on top of the other. */
function troubles(
  { refusedByMinute, cutByMinute, scenario }: RunResult,
  x: (ms: number) => number,
): string[] {
  const bottom = TROUBLE.top + TROUBLE.height;
  const most = Math.max(1, ...refusedByMinute.map((refused, minute) => refused + cutByMinute[minute]!));
  const scale = ticks(most);
  const height = (count: number): number => (TROUBLE.height * count) / scale.at(-1)!;
  const width = round(Math.max(0.6, x(60_000) - x(0)));
  const marks: string[] = [
    text(16, TROUBLE.top - 10, 'People refused, and sessions cut, a minute', 'font-weight="600"'),
  ];
  for (const tick of [0, scale.at(-1)!]) {
    marks.push(
      rule(LEFT, bottom - height(tick), WIDTH - RIGHT, bottom - height(tick), GRID),
      text(LEFT - 8, round(bottom - height(tick) + 4), `${tick}`, 'text-anchor="end" fill="#555555"'),
    );
  }
  for (let minute = 0; minute * 60_000 < scenario.durationMs; minute += 1) {
    const left = round(x(minute * 60_000));
    const refused = height(refusedByMinute[minute]!);
    const cut = height(cutByMinute[minute]!);
    if (cut > 0) {
      marks.push(
        `<rect x="${left}" y="${round(bottom - cut)}" width="${width}" height="${round(cut)}" fill="${CUT}"/>`,
      );
    }
    if (refused > 0) {
      marks.push(
        `<rect x="${left}" y="${round(bottom - cut - refused)}" width="${width}" height="${round(refused)}" fill="${REFUSED}"/>`,
      );
    }
  }
  return marks;
}

function incidentMarks(incident: Incident, x: (ms: number) => number): string[] {
  const { label, lastsMs } = described(incident);
  const left = round(x(incident.at));
  const bottom = TROUBLE.top + TROUBLE.height;
  return [
    ...(lastsMs === undefined
      ? []
      : [
          `<rect x="${left}" y="${RELAYS.top}" width="${round(x(incident.at + lastsMs) - left)}" height="${bottom - RELAYS.top}" fill="#d2342a" fill-opacity="0.08"/>`,
        ]),
    `<line x1="${left}" x2="${left}" y1="${RELAYS.top - 4}" y2="${bottom}" stroke="#777777" stroke-dasharray="4 3"/>`,
    text(left + 4, RELAYS.top - 8, label, 'fill="#555555"'),
  ];
}

function described(incident: Incident): { readonly label: string; readonly lastsMs?: number } {
  if ('edit' in incident) return { label: `spec changes: ${Object.keys(incident.edit).join(', ')}` };
  if ('masterDown' in incident) return { label: 'Master is away', lastsMs: incident.masterDown };
  if ('relaysUnreachable' in incident)
    return { label: "relays can't be asked", lastsMs: incident.relaysUnreachable };
  if ('metricsDown' in incident) return { label: 'no metrics API', lastsMs: incident.metricsDown };
  if ('nodesStop' in incident)
    return { label: `${Math.round(incident.nodesStop * 100)} % of the nodes stop` };
  return { label: `${incident.burst} people at once` };
}

function hours(durationMs: number, x: (ms: number) => number): string[] {
  const step = durationMs > 14 * 3_600_000 ? 2 : 1;
  const bottom = TROUBLE.top + TROUBLE.height;
  const marks: string[] = [];
  for (let hour = 0; hour * 3_600_000 <= durationMs; hour += step) {
    const at = round(x(hour * 3_600_000));
    marks.push(
      rule(at, RELAYS.top + RELAYS.height, at, RELAYS.top + RELAYS.height + 4, '#555555'),
      rule(at, bottom, at, bottom + 4, '#555555'),
      text(at, bottom + 20, `${hour} h`, 'text-anchor="middle" fill="#555555"'),
    );
  }
  return marks;
}

/** 0 and a few round numbers, the last at or above the most. */
function ticks(most: number): number[] {
  const rough = most / 5;
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 0.2)));
  const step = Math.max(
    1,
    [1, 2, 5, 10].map((factor) => factor * power).find((value) => value >= rough) ?? 1,
  );
  const count = Math.max(1, Math.ceil(most / step));
  return Array.from({ length: count + 1 }, (_, index) => index * step);
}

function rule(x1: number, y1: number, x2: number, y2: number, colour: string, width = '1'): string {
  return `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" stroke="${colour}" stroke-width="${width}"/>`;
}

function text(x: number, y: number, content: string, attributes = 'fill="#222222"'): string {
  return `<text x="${x}" y="${y}" ${attributes}>${content.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
