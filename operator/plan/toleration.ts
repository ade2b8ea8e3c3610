import type { Taint } from './world.ts';

/**
 * Whether a toleration, as somebody wrote it in a spec, is one of this taint
 * (https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#concepts): without a key it is of every
 * one, without an effect of every effect.
 */
export function tolerates(toleration: Readonly<Record<string, unknown>>, taint: Taint): boolean {
  const { key = '', operator = 'Equal', value = '', effect = '' } = toleration;
  if (effect !== '' && effect !== taint.effect) return false;
  if (key !== '' && key !== taint.key) return false;
  return operator === 'Exists' || (key !== '' && operator === 'Equal' && value === (taint.value ?? ''));
}
