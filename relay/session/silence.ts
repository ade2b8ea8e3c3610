/**
 * A silent address gets little (design-relay 3): at most 2 s worth of the session's hard limit, at least 1 MiB, is forwarded
 * to a peer's address since an accepted datagram last came from it. Otherwise one present with a forged source address would
 * aim a stream at a stranger for as long as the lease lives.
 */
const SILENT_MS = 2000;
const MIN_BUDGET_BYTES = 1_048_576;

/** Bytes. */
export function silentBudget(hardKbps: number): number {
  return Math.max(MIN_BUDGET_BYTES, (hardKbps / 8) * SILENT_MS);
}
