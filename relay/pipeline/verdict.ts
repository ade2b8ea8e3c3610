/** What became of a datagram. Drop and Reply are counted already; the datapath owes a Forward and a Lease their outcome. */
export const Verdict = {
  Drop: 0,
  /** Send the datagram on, unchanged; see Pipeline.flow and Pipeline.destinationBase; report by Pipeline.forwarded or sendFailed. */
  Forward: 1,
  /** Send Pipeline.reply to the source. */
  Reply: 2,
  /** Queue it for Pipeline.present; see Pipeline.knownSession; report by Pipeline.queueFull when there is no room. */
  Lease: 3,
  /** The STUN answer that was waited for; see Pipeline.stunMapped. */
  Stun: 4,
  /** A FORWARD that waits for a LEASE_PRESENT (a copy of it, counted as received only): see Pipeline.takeHeld. */
  Held: 5,
} as const;
export type Verdict = (typeof Verdict)[keyof typeof Verdict];
