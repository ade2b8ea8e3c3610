import type { Config } from '../config/config.ts';
import { DatapathError } from './datapath-error.ts';
import type { Datapath, DatapathOptions } from './datapath.ts';
import { DgramSockets } from './dgram-sockets.ts';
import { wildcardWarning } from './listen-address.ts';
import { RunningDatapath } from './running-datapath.ts';
import { smallBufferWarning } from './small-buffer.ts';
import type { SocketSource } from './socket-source.ts';

/** Binds, starts the workers and waits until all of them read. Throws DatapathError. */
export async function startDatapath(options: DatapathOptions): Promise<Datapath> {
  const { config, log } = options;
  const warning = wildcardWarning(config.listen);
  if (warning !== undefined) log('warn', warning);
  const { sockets, why } = await chooseSockets(config);
  if (sockets.kind === 'mmsg' && sockets.workers < config.workers) {
    log(
      'warn',
      `this kernel refuses to steer packets to workers (SO_ATTACH_REUSEPORT_CBPF): one worker forwards, though there is CPU for ${config.workers}`,
    );
  }
  const running = await RunningDatapath.start(options, sockets, why);
  const small = smallBufferWarning(running.socketBufferBytes());
  if (small !== undefined) log('warn', small);
  log(config.datapath === 'auto' && running.kind === 'dgram' ? 'warn' : 'info', running.description);
  return running;
}

/** recvmmsg where it runs, node:dgram where it can't; what was asked for or an error when something was. */
async function chooseSockets(config: Config): Promise<{ sockets: SocketSource; why: string }> {
  if (config.datapath === 'dgram') return { sockets: new DgramSockets(config.listen), why: 'as configured' };
  let source: SocketSource;
  try {
    if (process.platform !== 'linux') throw new Error(`${process.platform} has no recvmmsg`);
    const { MmsgSockets } = await import('./mmsg-sockets.ts');
    source = MmsgSockets.probe();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    if (config.datapath === 'mmsg') {
      throw new DatapathError(
        `--datapath mmsg can't run here: ${reason}; use --datapath auto, which falls back to node:dgram`,
      );
    }
    return {
      sockets: new DgramSockets(config.listen),
      why: `best effort, as recvmmsg can't run here: ${reason}`,
    };
  }
  source.open(config.listen, config.workers, config.workersAsked);
  return { sockets: source, why: '' };
}
