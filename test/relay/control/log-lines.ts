import type { ControlLog } from '../../../relay/control/control-log.ts';

/** A log that keeps its lines, for tests to look at. */
export class LogLines {
  readonly lines: { level: string; message: string }[] = [];

  readonly log: ControlLog = (level, message) => {
    this.lines.push({ level, message });
  };

  matching(pattern: RegExp): string[] {
    return this.lines
      .map(({ level, message }) => `${level}: ${message}`)
      .filter((line) => pattern.test(line));
  }
}
