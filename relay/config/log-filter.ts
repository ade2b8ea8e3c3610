import type { LogLevel } from './config.ts';

/** `trace` is our debug; digits are env_logger's. */
const LEVELS: Readonly<Record<string, LogLevel>> = {
  off: 'off',
  error: 'error',
  warn: 'warn',
  warning: 'warn',
  info: 'info',
  debug: 'debug',
  trace: 'debug',
  0: 'off',
  1: 'error',
  2: 'warn',
  3: 'info',
  4: 'debug',
  5: 'debug',
};

const TARGET = 'wavry_relay';

/**
 * The level that a plain level or a tracing filter (`info`, `wavry_relay=debug,hyper=warn`,
 * `wavry_relay::session[span{field=x}]=trace`) asks of the relay: that of the directive with the longest matching
 * target, the last one of several. Undefined when none of them is about the relay.
 */
export function logFilterLevel(filter: string): LogLevel | undefined {
  let best: LogLevel | undefined;
  let bestLength = -1;
  for (const directive of splitDirectives(filter)) {
    const { target, level } = readDirective(directive);
    if (level === undefined || target.length < bestLength || !concernsRelay(target)) continue;
    best = level;
    bestLength = target.length;
  }
  return best;
}

/** At the commas that are not inside a span's braces. */
function splitDirectives(filter: string): string[] {
  return filter.split(/,(?![^[]*\])/).map((directive) => directive.trim());
}

/** A lone target is a wish for everything. */
function readDirective(directive: string): { target: string; level: LogLevel | undefined } {
  const plain = levelOf(directive);
  if (plain !== undefined) return { target: '', level: plain };
  const equals = directive.lastIndexOf('=');
  const hasLevel = equals > directive.lastIndexOf(']');
  const place = hasLevel ? directive.slice(0, equals) : directive;
  const target = place.split('[', 1)[0]!.trim().replaceAll('-', '_');
  return {
    target,
    level: target === '' ? undefined : levelOf(hasLevel ? directive.slice(equals + 1) : 'trace'),
  };
}

function levelOf(text: string): LogLevel | undefined {
  const word = text.trim().toLowerCase();
  return Object.hasOwn(LEVELS, word) ? LEVELS[word] : undefined;
}

/** tracing matches a target by prefix; a module of the relay counts as the relay. */
function concernsRelay(target: string): boolean {
  return (
    target === '' ||
    (target.startsWith('wavry') && TARGET.startsWith(target)) ||
    target.startsWith(`${TARGET}::`)
  );
}
