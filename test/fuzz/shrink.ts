/** Whether what is left still fails. */
type Fails<T> = (items: readonly T[]) => boolean | Promise<boolean>;

/**
 * Leaves out ever smaller pieces of a failing list for as long as it still fails (delta debugging, Zeller and Hildebrandt
 * 2002). `tries` bounds the work; the result fails, and is the list itself when nothing could be left out.
 */
export async function shrinkList<T>(
  items: readonly T[],
  fails: Fails<T>,
  tries: number,
): Promise<readonly T[]> {
  let smallest = items;
  let left = tries;
  for (let size = Math.ceil(items.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < smallest.length && left > 0;) {
      const rest = [...smallest.slice(0, at), ...smallest.slice(at + size)];
      left--;
      if (await fails(rest)) smallest = rest;
      else at += size;
    }
  }
  return smallest;
}

/** As {@link shrinkList} for bytes; then as many as possible become zero. */
export async function shrinkBytes(
  bytes: Uint8Array,
  fails: (bytes: Uint8Array) => boolean,
  tries = 4000,
): Promise<Uint8Array> {
  const shorter = await shrinkList([...bytes], (rest) => fails(Uint8Array.from(rest)), tries);
  const result = Uint8Array.from(shorter);
  for (let i = 0; i < result.length && i < tries; i++) {
    const before = result[i]!;
    result[i] = 0;
    if (before !== 0 && !fails(result.slice())) result[i] = before;
  }
  return result;
}
