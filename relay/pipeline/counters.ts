/**
 * What the packet path counts: one Float64 cell each, one writer each (exact up to 2^53).
 *
 * The books balance (design-relay 7): received = forwarded + lease_accepted + STUN answers + dropped, and
 * dropped is the sum of the *primary* reasons. Names are the operations guide's.
 */
export const Counter = {
  packets_rx: 0,
  bytes_rx: 1,
  packets_forwarded: 2,
  bytes_forwarded: 3,
  lease_present_packets: 4,
  lease_renew_packets: 5,
  dropped_packets: 6,
  rate_limited_packets: 7,
  identity_rate_limited_packets: 8,
  invalid_packets: 9,
  auth_reject_packets: 10,
  session_not_found_packets: 11,
  session_not_active_packets: 12,
  unknown_peer_packets: 13,
  replay_dropped_packets: 14,
  backpressure_dropped_packets: 15,
  session_full_rejects: 16,
  wrong_relay_rejects: 17,
  expired_lease_rejects: 18,
  cleanup_expired_sessions: 19,
  cleanup_idle_sessions: 20,
  overload_shed_packets: 21,
  nat_rebind_events: 22,
  lease_accepted_packets: 23,
  drain_refused_packets: 24,
  send_failed_packets: 25,
  handed_over_packets: 26,
  soft_limit_exceeded_packets: 27,
  stun_answer_packets: 28,
} as const;

export type CounterName = keyof typeof Counter;

export const COUNTER_CELLS = 29;

export const COUNTER_HELP: Readonly<Record<CounterName, string>> = {
  packets_rx: 'Total packets received',
  bytes_rx: 'Total bytes received',
  packets_forwarded: 'Total packets forwarded',
  bytes_forwarded: 'Total bytes forwarded',
  lease_present_packets: 'Lease present packets received',
  lease_renew_packets: 'Lease renew packets received',
  dropped_packets: 'Packets dropped (all reasons)',
  rate_limited_packets: 'Packets dropped due to rate limiting',
  identity_rate_limited_packets: 'Lease packets dropped because their identity exceeded its rate',
  invalid_packets: 'Invalid packets received',
  auth_reject_packets: 'Packets rejected due to auth failure',
  session_not_found_packets: 'Packets for unknown sessions',
  session_not_active_packets: 'Packets for inactive sessions',
  unknown_peer_packets: 'Packets from unknown peers',
  replay_dropped_packets: 'Packets dropped due to replay detection',
  backpressure_dropped_packets: 'Packets dropped because a queue inside the relay was full',
  session_full_rejects: 'Session creations rejected (capacity)',
  wrong_relay_rejects: 'Packets for wrong relay',
  expired_lease_rejects: 'Packets with expired leases',
  cleanup_expired_sessions: 'Sessions cleaned up (expired)',
  cleanup_idle_sessions: 'Sessions cleaned up (idle)',
  overload_shed_packets: 'Sessions with a good lease that were shed due to overload',
  nat_rebind_events: 'NAT rebinding events',
  lease_accepted_packets: 'Lease packets accepted (present and renew)',
  drain_refused_packets: 'Sessions refused because the relay is draining',
  send_failed_packets: 'Packets that the kernel refused to send',
  handed_over_packets: 'Packets handed over between workers',
  soft_limit_exceeded_packets: 'Packets forwarded above the soft limit of their session',
  stun_answer_packets: 'STUN answers received',
};

/** The counters that add up to dropped_packets; every dropped packet is in exactly one. */
export const PRIMARY_DROP_REASONS: readonly CounterName[] = [
  'invalid_packets',
  'auth_reject_packets',
  'wrong_relay_rejects',
  'session_full_rejects',
  'overload_shed_packets',
  'drain_refused_packets',
  'rate_limited_packets',
  'session_not_found_packets',
  'session_not_active_packets',
  'unknown_peer_packets',
  'replay_dropped_packets',
  'backpressure_dropped_packets',
  'send_failed_packets',
];

/** What is wrong with the books, or undefined when they balance. Holds whenever no lease waits to be verified. */
export function bookImbalance(cells: Float64Array): string | undefined {
  const at = (name: CounterName): number => cells[Counter[name]]!;
  const reasons = PRIMARY_DROP_REASONS.reduce((sum, name) => sum + at(name), 0);
  if (reasons !== at('dropped_packets')) {
    return `dropped_packets is ${at('dropped_packets')}, but its reasons add up to ${reasons}`;
  }
  const accounted =
    at('packets_forwarded') +
    at('lease_accepted_packets') +
    at('stun_answer_packets') +
    at('dropped_packets');
  if (accounted !== at('packets_rx')) {
    return `packets_rx is ${at('packets_rx')}, but ${accounted} are accounted for`;
  }
  return undefined;
}
