/**
 * The value of a Kubernetes resource quantity (`250m`, `1.5Gi`, `2e3`) as a number.
 *
 * @throws Error for text that is no quantity.
 */
export function parseQuantity(text: string): number {
  const match = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|([a-zA-Z]{1,2}))?$/.exec(text);
  const suffix = match?.[3] ?? '';
  const factor = FACTORS[suffix];
  if (!match || factor === undefined) throw new Error(`"${text}" is no resource quantity`);
  return Number(`${match[1]}${match[2] ?? ''}`) * factor;
}

const FACTORS: Partial<Record<string, number>> = {
  '': 1,
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};
