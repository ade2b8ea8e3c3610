import type { DatapathResults, RatioRow, SubjectId } from './results.ts';
import { SUBJECT_LABELS } from './results.ts';
import { scenarioLabel } from './scenarios.ts';

const COLOURS: Readonly<Record<SubjectId, string>> = {
  'relay-mmsg': '#0b62d6',
  'relay-mmsg-2': '#6aa5f0',
  'relay-dgram': '#c4369b',
  'c-gro': '#2c8a4b',
  'c-gro-2': '#8cc9a0',
  'c-batch': '#444444',
  'c-single': '#b8860b',
  coturn: '#d2542a',
};

const WIDTH = 1020;
const LABEL_WIDTH = 350;
const RIGHT = 30;
const TOP = 108;
const DOT_STEP = 11;
const ROW_GAP = 14;

/** CPU a packet relative to plain C: a dot for the median, a line for the quartiles. A white ground suits dark pages too. */
export function ratioPlot(results: DatapathResults): string {
  const rows = results.ratios;
  const ids = (Object.keys(SUBJECT_LABELS) as SubjectId[]).filter((id) =>
    rows.some((row) => row.toPlainC[id]),
  );
  const shown = ids.filter((id) => id !== 'c-batch');
  const rowHeight = shown.length * DOT_STEP + ROW_GAP;
  const height = TOP + rows.length * rowHeight + 46;
  const largest = Math.max(
    1.5,
    ...rows.flatMap((row) => Object.values(row.toPlainC).map(({ high }) => high)),
  );
  const x = (ratio: number): number => round(LABEL_WIDTH + (ratio / largest) * (WIDTH - LABEL_WIDTH - RIGHT));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    text(
      16,
      28,
      'CPU time a forwarded packet, relative to a C relay with recvmmsg/sendmmsg',
      'font-size="16" font-weight="600"',
    ),
    text(
      16,
      48,
      'Less is better. Dots are medians of interleaved pairs, lines reach from quartile to quartile.',
      'fill="#555555"',
    ),
    ...legend(shown),
    ...grid(largest, x, height),
    ...rows.flatMap((row, index) => rowMarks(row, shown, TOP + index * rowHeight, rowHeight, x)),
    '</svg>',
    '',
  ].join('\n');
}

function legend(ids: readonly SubjectId[]): string[] {
  let at = 16;
  let line = 70;
  return ids.flatMap((id) => {
    const width = 24 + SUBJECT_LABELS[id].length * 7.6;
    if (at + width > WIDTH - RIGHT) {
      at = 16;
      line += 18;
    }
    const marks = [
      `<circle cx="${round(at + 5)}" cy="${line - 4}" r="4.5" fill="${COLOURS[id]}"/>`,
      text(round(at + 14), line, SUBJECT_LABELS[id]),
    ];
    at += width;
    return marks;
  });
}

function grid(largest: number, x: (ratio: number) => number, height: number): string[] {
  const step = largest > 6 ? 1 : 0.5;
  const marks: string[] = [];
  for (let ratio = 0; ratio <= largest; ratio += step) {
    const isReference = ratio === 1;
    marks.push(
      `<line x1="${x(ratio)}" x2="${x(ratio)}" y1="${TOP - 6}" y2="${height - 34}" stroke="${isReference ? '#222222' : '#dddddd'}"${isReference ? ' stroke-width="1.5"' : ''}/>`,
      text(
        x(ratio),
        height - 18,
        isReference ? '1 (C, batch)' : `${ratio}`,
        'text-anchor="middle" fill="#555555"',
      ),
    );
  }
  return marks;
}

function rowMarks(
  row: RatioRow,
  ids: readonly SubjectId[],
  top: number,
  rowHeight: number,
  x: (ratio: number) => number,
): string[] {
  const middle = top + (rowHeight - ROW_GAP) / 2;
  const marks = [
    text(LABEL_WIDTH - 14, round(middle + 4), scenarioLabel(row.scenario), 'text-anchor="end"'),
    `<line x1="16" x2="${WIDTH - RIGHT}" y1="${top - ROW_GAP / 2}" y2="${top - ROW_GAP / 2}" stroke="#eeeeee"/>`,
  ];
  ids.forEach((id, index) => {
    const ratio = row.toPlainC[id];
    if (!ratio) return;
    const y = round(top + index * DOT_STEP + DOT_STEP / 2);
    marks.push(
      `<line x1="${x(ratio.low)}" x2="${x(ratio.high)}" y1="${y}" y2="${y}" stroke="${COLOURS[id]}" stroke-width="2.5" stroke-linecap="round"/>`,
      `<circle cx="${x(ratio.median)}" cy="${y}" r="4" fill="${COLOURS[id]}"><title>${SUBJECT_LABELS[id]}: ${ratio.median.toFixed(2)}</title></circle>`,
    );
  });
  return marks;
}

function text(x: number, y: number, content: string, attributes = 'fill="#222222"'): string {
  return `<text x="${x}" y="${y}" ${attributes}>${content.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
