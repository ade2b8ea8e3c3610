/**
 * Whether applying `wanted` to `live` would change anything: every field of `wanted` is there with the same value.
 * Fields that only the server or others set don't count; lists are compared whole, item by item.
 */
export function isApplied(wanted: unknown, live: unknown): boolean {
  if (Array.isArray(wanted)) {
    return (
      Array.isArray(live) &&
      live.length === wanted.length &&
      wanted.every((item, index) => isApplied(item, live[index]))
    );
  }
  if (typeof wanted === 'object' && wanted !== null) {
    if (typeof live !== 'object' || live === null || Array.isArray(live)) return false;
    return Object.entries(wanted).every(
      ([field, value]) => value === undefined || isApplied(value, (live as Record<string, unknown>)[field]),
    );
  }
  return Object.is(wanted, live);
}
