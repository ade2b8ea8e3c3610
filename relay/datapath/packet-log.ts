import { formatIp } from '../protocol/address.ts';
import { Counter, type CounterName } from '../pipeline/counters.ts';

/**
 * Sampled lines about refused packets: at most 20 a second and worker, whatever a stranger sends. The source's IP is the last
 * word, so that the guide's `grep "rate limited" | awk '{print $NF}'` lists sources.
 */
export class PacketLog {
  readonly #write: (line: string) => void;
  #left = LINES;
  #unlogged = 0;

  constructor(write: (line: string) => void) {
    this.#write = write;
  }

  /** `reason`: Pipeline.dropReason, so that an accepted lease (-1) gets no line. */
  refused(reason: number, source: Int32Array, base: number): void {
    if (reason < 0) return;
    if (this.#left === 0) {
      this.#unlogged++;
      return;
    }
    this.#left--;
    const more = this.#unlogged > 0 ? ` (and ${this.#unlogged} lines like this not written)` : '';
    this.#unlogged = 0;
    const text = REASONS.get(reason) ?? 'for a reason without a name';
    this.#write(`packet dropped, ${text}${more}: from ${formatIp(source, base)}`);
  }

  /** To be called once a second. */
  refill(): void {
    this.#left = LINES;
  }
}

const LINES = 20;

/** send_failed_packets is not among them: it is counted long after the packet was judged. */
const REASONS: ReadonlyMap<number, string> = new Map(
  (
    [
      ['rate_limited_packets', 'rate limited'],
      ['invalid_packets', 'invalid'],
      ['auth_reject_packets', 'lease refused'],
      ['wrong_relay_rejects', 'lease of another relay'],
      ['session_full_rejects', 'no room for a session'],
      ['overload_shed_packets', 'session shed'],
      ['drain_refused_packets', 'session refused while draining'],
      ['session_not_found_packets', 'unknown session'],
      ['session_not_active_packets', 'session not active'],
      ['unknown_peer_packets', 'unknown peer'],
      ['replay_dropped_packets', 'replay'],
      ['backpressure_dropped_packets', 'queue full'],
    ] as const satisfies readonly (readonly [CounterName, string])[]
  ).map(([name, text]) => [Counter[name], text]),
);
