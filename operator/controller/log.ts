import { createLogger, format, type Logger, transports } from 'winston';

/** Lines on stdout: JSON, or text for people. */
export function createLog(options: { readonly level: string; readonly format: 'json' | 'text' }): Logger {
  const line =
    options.format === 'json'
      ? format.combine(format.timestamp(), format.json())
      : format.combine(
          format.timestamp(),
          format.printf(({ timestamp, level, message, ...fields }) => {
            const rest = Object.entries(fields).map(([name, value]) => ` ${name}=${JSON.stringify(value)}`);
            return `${String(timestamp)} ${level.toUpperCase()} ${String(message)}${rest.join('')}`;
          }),
        );
  return createLogger({ level: options.level, format: line, transports: [new transports.Console()] });
}
