import { nearest } from './nearest.ts';
import type { Option } from './options.ts';
import { IGNORED_VARIABLES, OPTION_ROWS } from './options.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Variable {
  readonly name: string;
  readonly text: string;
}

/** The option's variable, else the first of its other names; one that is empty or blank counts as unset. */
export function readVariable(env: Environment, option: Option): Variable | undefined {
  for (const name of [option.variable, ...(option.otherVariables ?? [])]) {
    const text = Object.hasOwn(env, name) ? env[name]?.trim() : undefined;
    if (text) return { name, text };
  }
  return undefined;
}

/** A line for each variable that is most likely a slip of one of ours. */
export function misspelledVariables(env: Environment): string[] {
  const known = OPTION_ROWS.flatMap(([, option]) => [option.variable, ...(option.otherVariables ?? [])]);
  return Object.keys(env)
    .filter((name) => /^WAVRY_(?:RELAY|MASTER)_[A-Z0-9_]{1,60}$/.test(name))
    .filter((name) => !known.includes(name) && !IGNORED_VARIABLES.includes(name) && !SERVICE_LINK.test(name))
    .flatMap((name) => {
      const near = nearest(name, known);
      return near !== undefined && closeEnough(name, near)
        ? [`${name} is no variable of this relay and is ignored: did you mean ${near}?`]
        : [];
    });
}

/** What Kubernetes sets for a Service named wavry-relay or wavry-master. */
const SERVICE_LINK = /_SERVICE_(?:HOST|PORT)|_PORT(?:_\d+_(?:TCP|UDP|SCTP))?/;

/** The common prefix makes long names look alike: judge the rest. */
function closeEnough(name: string, near: string): boolean {
  const rest = (text: string): string => text.replace(/^WAVRY_(?:RELAY_)?/, '');
  return nearest(rest(name), [rest(near)]) !== undefined;
}
