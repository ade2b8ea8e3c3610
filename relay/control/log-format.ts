export interface LogEvent {
  readonly unixMs: number;
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, string | number | boolean>>;
}

/**
 * `2026-02-13T10:00:00.000Z INFO Registered with Master url=https://master.example.com`. A message without fields ends
 * the line, so that a packet's line ends in its source address (the guide's `awk '{print $NF}'`).
 */
export function renderText({ unixMs, level, message, fields }: LogEvent): string {
  const pairs = Object.entries(fields).map(([key, value]) => ` ${key}=${quoted(value)}`);
  return oneLine(`${timestamp(unixMs)} ${level.toUpperCase()} ${message}${pairs.join('')}`);
}

/** One object a line: timestamp, level, message, then the fields. */
export function renderJson({ unixMs, level, message, fields }: LogEvent): string {
  return JSON.stringify({ ...fields, timestamp: timestamp(unixMs), level, message });
}

function timestamp(unixMs: number): string {
  return new Date(unixMs).toISOString();
}

function quoted(value: string | number | boolean): string {
  return typeof value === 'string' && !/^[^\s"=]+$/.test(value) ? JSON.stringify(value) : String(value);
}

/** What comes from outside (an answer of Master, a file) must neither forge a line nor steer a terminal. */
function oneLine(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
