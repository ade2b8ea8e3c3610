import { Ajv } from 'ajv';

/** What the operator reads of a relay's `/metrics` (ARCHITECTURE.md, "What relay and operator agree on"). */
interface CountersAnswer {
  readonly overload_shed_packets: number;
  readonly session_full_rejects: number;
}

const counter = { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER };

const isCountersAnswer = new Ajv({ strict: true, strictTypes: false }).compile<CountersAnswer>({
  type: 'object',
  required: ['overload_shed_packets', 'session_full_rejects'],
  properties: { overload_shed_packets: counter, session_full_rejects: counter },
});

/**
 * Sessions with a good lease that a relay has refused since it started, shed or for want of room. Throws an Error that
 * names the field when the text isn't an answer: a relay is untrusted.
 */
export function readRefusals(text: string): number {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    throw new Error('/metrics answered something that is no JSON');
  }
  if (!isCountersAnswer(answer)) {
    const first = isCountersAnswer.errors?.[0];
    throw new Error(
      `/metrics answered with a wrong ${first?.instancePath || 'object'}: ${first?.message ?? 'unknown'}`,
    );
  }
  return answer.overload_shed_packets + answer.session_full_rejects;
}
