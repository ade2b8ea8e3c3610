import { API_VERSION, KIND } from '../api/meta.ts';
import type { Condition, WavryRelayStatus } from '../api/status.ts';
import type { EventRecorder } from '../kube/events.ts';
import type { PlannedEvent } from '../plan/world.ts';
import { ageMs } from './age.ts';

/** What is only starting is no news: it becomes one when it takes long. */
const NEWS_AFTER_MS = 45_000;
const PASSING_REASONS = new Set([
  'Starting',
  'NotReady',
  'NotRegistered',
  'PodPending',
  'PodInitializing',
  'ContainerCreating',
  'EndpointsPending',
  'EndpointMismatch',
  'EarlierFleetLeaving',
  // The autoscaler mends the first at its next look, learns of a new kind within half a minute, and finds no metric until
  // the relays were asked.
  'OutOfBounds',
  'FailedGetScale',
  'FailedGetObjectMetric',
]);

export type LogFields = Readonly<Record<string, unknown>>;

/** Tells events of a fleet: each once for as long as it holds, as a plan that stays the same says it at each look. */
export class Announcer {
  readonly #events: EventRecorder;
  readonly #log: (level: 'info' | 'warn', message: string, fields: LogFields) => void;
  readonly #said = new Map<string, ReadonlySet<string>>();

  constructor(
    events: EventRecorder,
    log: (level: 'info' | 'warn', message: string, fields: LogFields) => void,
  ) {
    this.#events = events;
    this.#log = log;
  }

  announce(
    fleet: { readonly namespace: string; readonly name: string; readonly uid: string },
    events: readonly PlannedEvent[],
    status: WavryRelayStatus,
    nowMs: number,
  ): void {
    const key = `${fleet.namespace}/${fleet.name}`;
    const before = this.#said.get(key);
    const now = new Set<string>();
    for (const { type, reason, message } of [...events, ...troubles(status, nowMs)]) {
      const text = `${reason} ${message}`;
      if (now.has(text)) continue;
      now.add(text);
      if (before?.has(text)) continue;
      this.#events.record({ apiVersion: API_VERSION, kind: KIND, ...fleet }, type, reason, message);
      this.#log(type === 'Normal' ? 'info' : 'warn', message, { fleet: key, reason });
    }
    this.#said.set(key, now);
  }

  forget(key: string): void {
    this.#said.delete(key);
  }
}

function troubles(status: WavryRelayStatus, nowMs: number): PlannedEvent[] {
  return (status.conditions ?? [])
    .filter((condition) => isTrouble(condition) && !isPassing(condition, nowMs))
    .map(({ reason, message }) => ({ type: 'Warning', reason, message }));
}

/** Whether a condition that is trouble may become news by mere waiting; when. */
export function newsAtMs(status: WavryRelayStatus, nowMs: number): number | undefined {
  const times = (status.conditions ?? [])
    .filter((condition) => isTrouble(condition) && isPassing(condition, nowMs))
    .map((condition) => Date.parse(condition.lastTransitionTime) + NEWS_AFTER_MS);
  return times.length === 0 ? undefined : Math.min(...times);
}

function isTrouble({ type, status, reason }: Condition): boolean {
  if (type === 'Autoscaling') return status === 'False' && reason !== 'NotConfigured';
  return type === 'Degraded' ? status === 'True' : status === 'False';
}

function isPassing({ reason, lastTransitionTime }: Condition, nowMs: number): boolean {
  return PASSING_REASONS.has(reason) && ageMs(Date.parse(lastTransitionTime), nowMs) < NEWS_AFTER_MS;
}
