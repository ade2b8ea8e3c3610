/**
 * The replay window: 128 sequences for each sender of a session, over the full u64 range (wire reference 1).
 *
 * A window is REPLAY_WORDS 32-bit words at `base` of a caller's typed array: the highest sequence (high word, low word)
 * and a ring of 128 bits in which a sequence has the bit of its low seven bits. The window [highest - 127, highest] maps
 * onto the ring one to one, so moving by one sets a single bit. All zeros is a window that has seen nothing: in any other
 * the highest sequence's own bit is set. u64 values are pairs of 32-bit words; the caller's array and arguments may hold
 * them signed or unsigned.
 *
 * Packet id 0 of RIFT packets never comes here (see rift.ts).
 */

export const REPLAY_WINDOW = 128;
/** 32-bit words for one window. */
export const REPLAY_WORDS = 6;

const HIGH = 0;
const LOW = 1;
const RING = 2;

type Words = Uint32Array | Int32Array;

/** Forgets all sequences: the next one opens the window. */
export function replayReset(state: Words, base: number): void {
  for (let i = 0; i < REPLAY_WORDS; i++) state[base + i] = 0;
}

/** Whether any sequence was accepted since the last reset. */
export function replayStarted(state: Words, base: number): boolean {
  return (state[base + RING + ringWord(state[base + LOW]!)]! & ringBit(state[base + LOW]!)) !== 0;
}

/**
 * Accepts the sequence and marks it as seen, or says false: it is a replay (already seen, or 128 or more below the
 * highest). A packet that a later check drops (hard limit) stays marked: the wire reference asks replay first.
 */
export function replayAccept(state: Words, base: number, high: number, low: number): boolean {
  const highestLow = state[base + LOW]! >>> 0;
  const ahead = ((high >>> 0) - (state[base + HIGH]! >>> 0)) * 2 ** 32 + ((low >>> 0) - highestLow);
  const word = base + RING + ringWord(low);
  const bit = ringBit(low);

  if (ahead === 1) {
    if (!replayStarted(state, base)) return open(state, base, high, low);
    state[word] = state[word]! | bit;
    state[base + HIGH] = high;
    state[base + LOW] = low;
    return true;
  }
  if (!replayStarted(state, base)) return open(state, base, high, low);
  if (ahead > 0) {
    forget(state, base, highestLow, ahead);
    state[word] = state[word]! | bit;
    state[base + HIGH] = high;
    state[base + LOW] = low;
    return true;
  }
  if (ahead <= -REPLAY_WINDOW || (state[word]! & bit) !== 0) return false;
  state[word] = state[word]! | bit;
  return true;
}

/** What {@link replayAccept} would say, without marking anything. */
export function replayCheck(state: Words, base: number, high: number, low: number): boolean {
  if (!replayStarted(state, base)) return true;
  const ahead = distance(state, base, high, low);
  if (ahead > 0) return true;
  return ahead > -REPLAY_WINDOW && (state[base + RING + ringWord(low)]! & ringBit(low)) === 0;
}

/**
 * How far the sequence is above the highest one, exact up to 2^53 and at least that beyond; 0 when it is not above, or
 * when nothing was accepted yet. Rebinding on FORWARD wants 1 to 4096 (design-relay 3).
 */
export function sequenceAbove(state: Words, base: number, high: number, low: number): number {
  return replayStarted(state, base) ? Math.max(0, distance(state, base, high, low)) : 0;
}

/** Signed: its sign is right over the whole range, its value exact within ±2^53. */
function distance(state: Words, base: number, high: number, low: number): number {
  return ((high >>> 0) - (state[base + HIGH]! >>> 0)) * 2 ** 32 + ((low >>> 0) - (state[base + LOW]! >>> 0));
}

function open(state: Words, base: number, high: number, low: number): true {
  replayReset(state, base);
  state[base + HIGH] = high;
  state[base + LOW] = low;
  state[base + RING + ringWord(low)] = ringBit(low);
  return true;
}

/** Clears the bits between the highest and the new one, which the caller sets: they belonged to sequences that leave the window. */
function forget(state: Words, base: number, highestLow: number, ahead: number): void {
  if (ahead >= REPLAY_WINDOW) {
    for (let i = RING; i < REPLAY_WORDS; i++) state[base + i] = 0;
    return;
  }
  for (let i = 1; i < ahead; i++) {
    const word = base + RING + ringWord(highestLow + i);
    state[word] = state[word]! & ~ringBit(highestLow + i);
  }
}

function ringWord(low: number): number {
  return (low >>> 5) & 3;
}

function ringBit(low: number): number {
  return 1 << (low & 31);
}
