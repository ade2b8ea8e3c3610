import type { Condition, WavryRelayStatus } from '../api/status.ts';

/**
 * The status of a fleet whose spec this version of the operator can't work with: its relays are left as they are.
 * `problems` name the fields.
 */
export function unreadableStatus(
  fleet: { readonly generation: number; readonly status: WavryRelayStatus | undefined },
  problems: readonly string[],
  nowMs: number,
): WavryRelayStatus {
  const message = `this version of the operator can't work with the spec, so the relays stay as they are: ${problems.join('; ')}. Upgrade the operator, or correct the spec`;
  const before = new Map(fleet.status?.conditions?.map((condition) => [condition.type, condition]));
  const condition = (type: string, status: Condition['status']): Condition => ({
    type,
    status,
    reason: 'UnreadableSpec',
    message: message.slice(0, 4096),
    observedGeneration: fleet.generation,
    lastTransitionTime:
      before.get(type)?.status === status
        ? before.get(type)!.lastTransitionTime
        : new Date(nowMs).toISOString(),
  });
  return {
    ...fleet.status,
    observedGeneration: fleet.generation,
    conditions: [
      condition('Ready', 'Unknown'),
      condition('Progressing', 'False'),
      condition('Autoscaling', 'Unknown'),
      condition('Degraded', 'True'),
    ],
  };
}
