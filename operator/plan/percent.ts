/** A number, or a percentage of `whole` rounded up or down as a Deployment's rolling update rounds it. */
export function percentOrNumber(value: number | string, whole: number, round: 'up' | 'down'): number {
  if (typeof value === 'number') return Math.max(0, Math.trunc(value));
  if (!value.endsWith('%')) return Math.max(0, Math.trunc(Number(value)) || 0);
  const share = (Number(value.slice(0, -1)) / 100) * whole;
  return Math.max(0, (round === 'up' ? Math.ceil(share) : Math.floor(share)) || 0);
}
