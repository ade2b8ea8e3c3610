import { ADDRESS_WORDS, formatIp } from '../protocol/address.ts';
import { Counter, type CounterName } from '../pipeline/counters.ts';

/**
 * Sampled lines about refused packets: at most 20 a second and worker, whatever a stranger sends. The source's IP is the last
 * word, so that the guide's `grep "rate limited" | awk '{print $NF}'` lists sources.
 *
 * The pipeline says why it drops only by its counters. While lines may be written, each drop compares them with what they
 * were; once the second's lines are used up a drop costs one comparison of a number.
 */
export class PacketLog {
  readonly #counters: Float64Array;
  readonly #write: (line: string) => void;
  readonly #seen: Float64Array;
  #left = LINES;
  #unlogged = 0;

  constructor(counters: Float64Array, write: (line: string) => void) {
    this.#counters = counters;
    this.#write = write;
    this.#seen = counters.slice();
  }

  /** To be called for each datagram that was not forwarded, right after the pipeline judged it. */
  refused(source: Int32Array, base: number): void {
    if (this.#left === 0) {
      this.#unlogged++;
      return;
    }
    const reason = REASONS.find(([cell]) => this.#counters[cell] !== this.#seen[cell]);
    if (!reason) return;
    this.#seen.set(this.#counters);
    this.#left--;
    const more = this.#unlogged > 0 ? ` (and ${this.#unlogged} lines like this not written)` : '';
    this.#unlogged = 0;
    this.#write(
      `packet dropped, ${reason[1]}${more}: from ${formatIp(source.subarray(base, base + ADDRESS_WORDS), 0)}`,
    );
  }

  /** To be called once a second. */
  refill(): void {
    this.#left = LINES;
    this.#seen.set(this.#counters);
  }
}

const LINES = 20;

/** send_failed_packets is not among them: it is counted long after the packet was judged. */
const REASONS: readonly (readonly [cell: number, text: string])[] = (
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
).map(([name, text]) => [Counter[name], text]);
