/**
 * Takes tokens and keys out of a line that is about to be printed: the last line of defence, as nothing should pass
 * them to the log. Lease tokens and Authorization values by their form, 32-byte keys as hex, and the secrets given.
 */
export function redact(line: string, secrets: readonly string[]): string {
  let safe = line.replace(SECRETS, (found) => {
    if (found.startsWith('v4.')) return `v4.${found[3] === 'p' ? 'public' : 'local'}.[redacted]`;
    return /^bearer/i.test(found) ? 'Bearer [redacted]' : '[redacted]';
  });
  for (const secret of secrets) {
    if (secret !== '') safe = safe.replaceAll(secret, '[redacted]').replaceAll(escaped(secret), '[redacted]');
  }
  return safe;
}

const SECRETS =
  /v4\.(?:public|local)\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)?|\bbearer\s+[\w.~+/-]+=*|(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])/gi;

/** As it looks inside a JSON string. */
function escaped(secret: string): string {
  return JSON.stringify(secret).slice(1, -1);
}
