/** The candidate that `text` is most likely a slip of, or undefined when nothing comes close. */
export function nearest(text: string, candidates: readonly string[]): string | undefined {
  const word = text.toLowerCase();
  const allowed = Math.max(1, Math.floor(Math.min(word.length, LONGEST) / 3));
  let best: string | undefined;
  let bestDistance = allowed + 1;
  for (const candidate of candidates) {
    const distance = editDistance(word, candidate.toLowerCase(), bestDistance);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best ?? candidates.find((candidate) => word.length >= 3 && candidate.startsWith(word));
}

const LONGEST = 60;

/** Replaced, added, left out, or two letters swapped: one each. Given up at `limit`. */
function editDistance(a: string, b: string, limit: number): number {
  if (a.length > LONGEST || Math.abs(a.length - b.length) >= limit) return limit;
  const rows = [Array.from({ length: b.length + 1 }, (_, i) => i)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = rows[i - 1]![j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped =
        a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? (rows[i - 2]?.[j - 2] ?? limit) + 1 : limit;
      row.push(Math.min(replaced, swapped, rows[i - 1]![j]! + 1, row[j - 1]! + 1));
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}
