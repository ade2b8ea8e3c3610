import { ADDRESS_WORDS, sameAddress } from '../protocol/address.ts';
import { parseBindingResponse, STUN_TRANSACTION_ID_BYTES, StunProblem } from '../protocol/stun.ts';

/** The one STUN answer that is waited for: only from the server asked, within its time, with the whole transaction id. */
export class StunWait {
  /** The address of the last answer taken. */
  readonly mapped: Int32Array = new Int32Array(ADDRESS_WORDS);
  readonly #server: Int32Array = new Int32Array(ADDRESS_WORDS);
  readonly #transactionId: Uint8Array = new Uint8Array(STUN_TRANSACTION_ID_BYTES);
  #untilMs = -Infinity;

  /** A later request takes the place of an earlier one. */
  expect(server: Int32Array, transactionId: Uint8Array, untilMs: number): void {
    this.#server.set(server.subarray(0, ADDRESS_WORDS));
    this.#transactionId.set(transactionId.subarray(0, STUN_TRANSACTION_ID_BYTES));
    this.#untilMs = untilMs;
  }

  /** Whether the datagram is that answer, with an address to use; it is taken only once. */
  takes(
    bytes: Uint8Array,
    offset: number,
    length: number,
    source: Int32Array,
    sourceBase: number,
    nowMs: number,
  ): boolean {
    if (nowMs >= this.#untilMs || !sameAddress(this.#server, 0, source, sourceBase)) return false;
    if (
      parseBindingResponse(bytes, offset, length, this.#transactionId, this.mapped, 0) !== StunProblem.None
    ) {
      return false;
    }
    this.#untilMs = -Infinity;
    return true;
  }
}
