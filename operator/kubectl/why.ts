import { age } from './age.ts';
import { type EventObject, eventMs, type Explanation } from './explain.ts';
import type { Paint } from './paint.ts';
import { harmless, table } from './table.ts';

/** @param events undefined: they could not be read, for `eventProblem` */
export function whyText(
  told: Explanation,
  events: readonly EventObject[] | undefined,
  eventProblem: string | undefined,
  nowMs: number,
  paint: Paint,
): string {
  const parts = [`${paint(told.well ? 'green' : 'bold', harmless(told.headline))}\n`];
  if (told.blockers.length > 0) {
    const lines = told.blockers.map((blocker) => {
      const relays = blocker.relays.length === 0 ? '' : ` (${listed(blocker.relays)})`;
      const advice =
        blocker.advice === undefined ? '' : `    ${paint('bold', 'To do:')} ${harmless(blocker.advice)}\n`;
      return `  ${paint('red', harmless(blocker.reason))}${relays}\n    ${harmless(blocker.message)}\n${advice}`;
    });
    parts.push(`What stands in the way:\n${lines.join('')}`);
  }
  if (told.underWay.length > 0) {
    parts.push(`Under way:\n${told.underWay.map((line) => `  ${harmless(line)}\n`).join('')}`);
  }
  if (told.conditions.length > 0) {
    const rows = told.conditions.map((condition) => [
      `  ${condition.type}`,
      condition.status,
      harmless(condition.reason),
      age(nowMs - Date.parse(condition.lastTransitionTime)),
      harmless(condition.message),
    ]);
    parts.push(`Conditions:\n${table(['  TYPE', 'STATUS', 'REASON', 'SINCE', 'MESSAGE'], rows)}`);
  }
  parts.push(eventsText(events, eventProblem, nowMs));
  return parts.join('\n');
}

const MOST_EVENTS = 15;

function eventsText(
  events: readonly EventObject[] | undefined,
  problem: string | undefined,
  nowMs: number,
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
  return `Events:\n${table(['  LAST SEEN', 'TYPE', 'REASON', 'MESSAGE'], rows)}`;
}

function listed(names: readonly string[]): string {
  return names.length <= 3
    ? names.join(', ')
    : `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`;
}
