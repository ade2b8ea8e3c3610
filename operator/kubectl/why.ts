import { age } from './age.ts';
import { type EventObject, eventMs, type Explanation } from './explain.ts';
import type { Paint } from './paint.ts';
import { harmless, table } from './table.ts';

export interface WhyView {
  readonly nowMs: number;
  /** Width of the terminal; undefined where nothing is to be wrapped or cut. */
  readonly columns: number | undefined;
  readonly paint: Paint;
}

/** @param events undefined: they could not be read, for `eventProblem` */
export function whyText(
  told: Explanation,
  events: readonly EventObject[] | undefined,
  eventProblem: string | undefined,
  view: WhyView,
): string {
  const { nowMs, columns, paint } = view;
  const headline = wrapped(harmless(told.headline), '', columns).trimEnd();
  const parts = [`${paint(told.well ? 'green' : 'bold', headline)}\n`];
  if (told.blockers.length > 0) {
    const lines = told.blockers.map((blocker) => {
      const relays = blocker.relays.length === 0 ? '' : ` (${listed(blocker.relays)})`;
      const advice =
        blocker.advice === undefined ? '' : wrapped(`To do: ${harmless(blocker.advice)}`, '    ', columns);
      const message = wrapped(harmless(blocker.message), '    ', columns);
      return `  ${paint('red', harmless(blocker.reason))}${relays}\n${message}${advice}`;
    });
    parts.push(`What stands in the way:\n${lines.join('')}`);
  }
  if (told.underWay.length > 0) {
    parts.push(`Under way:\n${told.underWay.map((line) => wrapped(harmless(line), '  ', columns)).join('')}`);
  }
  if (told.conditions.length > 0) {
    const rows = told.conditions.map((condition) => [
      `  ${condition.type}`,
      condition.status,
      harmless(condition.reason),
      age(nowMs - Date.parse(condition.lastTransitionTime)),
      harmless(condition.message),
    ]);
    const text = table(['  TYPE', 'STATUS', 'REASON', 'SINCE', 'MESSAGE'], rows);
    parts.push(`Conditions:\n${cut(text, columns)}`);
  }
  parts.push(eventsText(events, eventProblem, view));
  return parts.join('\n');
}

const MOST_EVENTS = 15;

function eventsText(
  events: readonly EventObject[] | undefined,
  problem: string | undefined,
  { nowMs, columns }: WhyView,
): string {
  if (!events) return `Events: ${harmless(problem ?? '<unknown>')}\n`;
  if (events.length === 0) return 'Events: <none>\n';
  const rows = events
    .slice(-MOST_EVENTS)
    .map((event) => [
      `  ${age(nowMs - eventMs(event))}${(event.count ?? 1) > 1 ? ` (x${event.count})` : ''}`,
      harmless(event.type ?? ''),
      harmless(event.reason ?? ''),
      harmless(event.message ?? ''),
    ]);
  return `Events:\n${cut(table(['  LAST SEEN', 'TYPE', 'REASON', 'MESSAGE'], rows), columns)}`;
}

/** A person at a terminal has the messages above, or asks for -o json; a pipe gets all of it. */
function cut(text: string, columns: number | undefined): string {
  if (columns === undefined) return text;
  return text.replaceAll(/^.*$/gm, (line) =>
    line.length <= columns ? line : `${line.slice(0, columns - 1)}…`,
  );
}

function wrapped(text: string, indent: string, columns: number | undefined): string {
  const width = Math.max(20, (columns ?? Infinity) - indent.length);
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines.map((line) => `${indent}${line}\n`).join('');
}

function listed(names: readonly string[]): string {
  return names.length <= 3
    ? names.join(', ')
    : `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`;
}
