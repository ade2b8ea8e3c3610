/**
 * A command line or environment that can't be followed. The message is one line that names the flag or variable and
 * says what to write instead; it never holds the value of a secret. The process prints it and exits 64 (EX_USAGE).
 */
export class ConfigError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ConfigError';
  }
}

const SHOWN = 60;

/** What somebody wrote, quoted and on one line, for an error message; without the user and password of a URL. */
export function shown(written: string): string {
  const text = written.replace(/\/\/[^/?#]*@/g, '//…@');
  const cut = text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
  return JSON.stringify(cut).replace(
    /[^\x20-\x7e…]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
