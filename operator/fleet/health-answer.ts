import { Ajv } from 'ajv';

import type { Poll } from '../plan/world.ts';

/** What the operator reads of a relay's `/health` (ARCHITECTURE.md, "What relay and operator agree on"). */
interface HealthAnswer {
  readonly relay_id?: string;
  readonly state: NonNullable<Poll['state']>;
  readonly registered_with_master: boolean;
  readonly draining: boolean;
  readonly total_sessions: number;
  readonly active_sessions: number;
  readonly max_sessions: number;
  readonly endpoints: readonly string[];
  readonly not_ready_reason?: string | null;
}

const count = { type: 'integer', minimum: 0, maximum: 10_000_000 };

const isHealthAnswer = new Ajv({ strict: true, strictTypes: false }).compile<HealthAnswer>({
  type: 'object',
  required: [
    'state',
    'registered_with_master',
    'draining',
    'total_sessions',
    'active_sessions',
    'max_sessions',
    'endpoints',
  ],
  properties: {
    // What a relay takes for its id; it is told to people.
    relay_id: { type: 'string', pattern: '^[\\x21-\\x7e]{0,128}$' },
    state: { enum: ['starting', 'serving', 'draining', 'drained'] },
    registered_with_master: { type: 'boolean' },
    draining: { type: 'boolean' },
    total_sessions: count,
    active_sessions: count,
    max_sessions: count,
    endpoints: { type: 'array', maxItems: 64, items: { type: 'string', maxLength: 128 } },
    not_ready_reason: { type: ['string', 'null'], maxLength: 2048 },
  },
});

/**
 * A poll out of the text of an answer; throws an Error that names the field when it isn't one. A relay is untrusted.
 * An answer of another relay is none either: after a node's restart its network may deal addresses anew, and until the
 * kubelet has told, a pod is asked where another one is by now.
 *
 * @param uid of the pod that was asked, which is its relay's id; an answer without one is believed
 * @param refusals what is known of its counters, which `/health` doesn't tell
 */
export function readHealthAnswer(
  text: string,
  uid: string,
  answeredMs: number,
  refusals: Poll['refusals'] = [],
): Poll {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    throw new Error('/health answered something that is no JSON');
  }
  if (!isHealthAnswer(answer)) {
    const first = isHealthAnswer.errors?.[0];
    throw new Error(
      `/health answered with a wrong ${first?.instancePath || 'object'}: ${first?.message ?? 'unknown'}`,
    );
  }
  const { relay_id: relayId = '' } = answer;
  if (relayId !== '' && relayId !== uid) throw new Error(`another relay answers at its address: ${relayId}`);
  return {
    answeredMs,
    error: undefined,
    state: answer.state,
    registered: answer.registered_with_master,
    draining: answer.draining,
    totalSessions: answer.total_sessions,
    activeSessions: answer.active_sessions,
    maxSessions: answer.max_sessions,
    endpoints: answer.endpoints,
    notReadyReason: answer.not_ready_reason ?? undefined,
    refusals,
  };
}

/**
 * A relay whose container has started again answers before it has restored its sessions: until then it counts at what it
 * said before (its whole reason is then "starting").
 */
export function withSessionsBefore(poll: Poll, last: Poll | undefined): Poll {
  if (!last || poll.notReadyReason !== 'starting') return poll;
  const { totalSessions, activeSessions } = last;
  return { ...poll, totalSessions, activeSessions };
}

/** A poll that failed: what was known stays, with its age. */
export function failedPoll(last: Poll | undefined, error: string): Poll {
  return {
    answeredMs: 0,
    state: undefined,
    registered: false,
    draining: false,
    totalSessions: 0,
    activeSessions: 0,
    maxSessions: 0,
    endpoints: [],
    notReadyReason: undefined,
    refusals: [],
    ...last,
    error,
  };
}
