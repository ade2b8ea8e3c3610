import process from 'node:process';

import winston from 'winston';

import type { LogLevel } from '../config/config.ts';
import type { ControlLog } from './control-log.ts';
import { renderJson, renderText } from './log-format.ts';
import type { LogEvent } from './log-format.ts';
import { redact } from './log-redaction.ts';

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: 'text' | 'json';
  /** Removed from every line, whatever else the redaction finds. */
  readonly secrets?: readonly string[];
  /** Default: stdout, as `docker logs` and the kubelet read it. */
  readonly stream?: NodeJS.WritableStream;
  /** Unix milliseconds. */
  readonly wallMs?: () => number;
}

export interface RelayLog {
  readonly log: ControlLog;
  /** Resolves once every line is with the stream. Lines logged later are lost. */
  readonly close: () => Promise<void>;
}

const LEVELS = { error: 0, warn: 1, info: 2, debug: 3 } as const;
const MESSAGE = Symbol.for('message');

/** The process's log: one line an event, without secrets, and nothing done for a level that is not asked for. */
export function createLog(options: LogOptions): RelayLog {
  const render = options.format === 'json' ? renderJson : renderText;
  const secrets = options.secrets ?? [];
  const wallMs = options.wallMs ?? Date.now;
  const most = options.level === 'off' ? -1 : LEVELS[options.level];
  const logger = winston.createLogger({
    levels: LEVELS,
    level: options.level === 'off' ? 'error' : options.level,
    format: winston.format((info) => {
      info[MESSAGE] = redact(render(info['event'] as LogEvent), secrets);
      return info;
    })(),
    transports: [new winston.transports.Stream({ stream: options.stream ?? process.stdout, eol: '\n' })],
    exitOnError: false,
  });

  let closed = false;
  return {
    log: (level, message, fields = {}) => {
      // A disabled winston level still costs 3 µs (tooling notes).
      if (closed || LEVELS[level] > most) return;
      logger.log({ level, message, event: { unixMs: wallMs(), level, message, fields } });
    },
    close: async () => {
      if (closed) return;
      closed = true;
      await new Promise<void>((resolve) => {
        logger.once('finish', resolve);
        logger.end();
      });
    },
  };
}
