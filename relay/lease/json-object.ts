/** Deeper nesting than any lease has use for. */
export const MAX_JSON_DEPTH = 32;

/**
 * The members of the JSON object that `bytes` (UTF-8) hold, or undefined when they hold anything else: no JSON, no object,
 * a member name that occurs twice, or nesting beyond {@link MAX_JSON_DEPTH}.
 *
 * JSON.parse keeps the last of two equal names without a word, and two readers that keep different ones disagree about what
 * was signed. It still says what is JSON and what the values are; the scan only counts names. Names count as
 * equal when they are so after unescaping (`"sid"`, `"\u0073id"`). A Map, because an object would have a `__proto__`.
 */
export function parseJsonObject(bytes: Uint8Array): ReadonlyMap<string, unknown> | undefined {
  let names: number | undefined;
  let value: unknown;
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    names = topLevelNames(text);
    if (names === undefined) return undefined;
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const members = new Map(Object.entries(value));
  return names === members.size ? members : undefined;
}

/**
 * How many member names stand in the outermost object of `text`, supposing that it is JSON: outside of strings and at depth
 * one, each name is followed by exactly one colon. Undefined when brackets nest too deep, which so never reaches JSON.parse.
 */
function topLevelNames(text: string): number | undefined {
  let depth = 0;
  let names = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '"') at = endOfString(text, at);
    else if (character === '{' || character === '[') {
      depth++;
      if (depth > MAX_JSON_DEPTH) return undefined;
    } else if (character === '}' || character === ']') depth--;
    else if (character === ':' && depth === 1) names++;
  }
  return names;
}

/** The index of the quote that closes the string opened at `at`, or the text's length when none does. */
function endOfString(text: string, at: number): number {
  for (let next = at + 1; next < text.length; next++) {
    if (text[next] === '\\') next++;
    else if (text[next] === '"') return next;
  }
  return text.length;
}
