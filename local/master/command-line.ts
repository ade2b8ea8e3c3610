import { isIPv4, isIPv6 } from 'node:net';
import { parseArgs } from 'node:util';

import { DEFAULT_LEASE_SECONDS, MAX_LEASE_SECONDS, MIN_LEASE_SECONDS } from './lease.ts';
import { isMisbehaviour, misbehaviours } from './misbehave.ts';
import type { DevMasterOptions } from './server.ts';
import { parseListen } from './server.ts';

/** A command line that can't be followed; its message is the one line to print before exit 64. */
export class UsageError extends Error {}

/** The options of the command line, or null when help is wanted. Throws UsageError. */
export function parseCommandLine(args: readonly string[]): DevMasterOptions | null {
  const values = parseFlags(args);
  if (values.help) return null;
  const listen = values.listen;
  const { host } = checkedListen(listen);
  if (!isLoopback(host) && !values['allow-public-bind']) {
    throw new UsageError(
      `--listen ${listen}: anybody who reaches it gets leases; --allow-public-bind says that you mean it`,
    );
  }
  const kind = values.misbehave;
  if (kind !== undefined && !isMisbehaviour(kind)) {
    throw new UsageError(`--misbehave ${kind}: unknown, --help lists the kinds`);
  }
  return {
    listen,
    heartbeatIntervalMs: wholeNumber('heartbeat-interval-ms', values['heartbeat-interval-ms'], 1, 86_400_000),
    leaseSeconds: wholeNumber('lease-seconds', values['lease-seconds'], MIN_LEASE_SECONDS, MAX_LEASE_SECONDS),
    ...notBlank('token', values.token),
    ...notBlank('adminToken', values['admin-token']),
    ...notBlank('keyFile', values['key-file']),
    ...(kind !== undefined && { misbehave: { kind } }),
  };
}

export const HELP: string = `Usage: npm run dev-master -- [options]

A Master for development: relays register with it and it hands out leases to anybody who asks.

Options:
  --listen IP:PORT            where to listen (default 127.0.0.1:8080)
  --allow-public-bind         listen on more than the loopback interface
  --token TOKEN               bearer token that relays have to show (default: none)
  --admin-token TOKEN         bearer token of /admin/… (default: none, so /admin/… answers 401)
  --heartbeat-interval-ms MS  asked of relays (default 5000)
  --lease-seconds SECONDS     validity of a lease, ${MIN_LEASE_SECONDS} to ${MAX_LEASE_SECONDS} (default ${DEFAULT_LEASE_SECONDS})
  --key-file FILE             Ed25519 signing key, PEM; made when missing (default: a new key each time)
  --misbehave KIND            answer relays wrongly, to see what they do (kinds below)
  --help                      this text

Calls, beside those of Master that relays use:
  POST /dev/sessions     {relay_id?, client?, server?, soft_kbps?, hard_kbps?, lease_seconds?, session_id?,
                         claims?}
                         a session's two leases; with session_id and relay_id, fresh ones for that session
  POST /dev/keys/next    the key that the next rotation brings
  POST /dev/keys/rotate  sign with a new key from now on
  POST /dev/misbehave    {kind, only?: "register" | "heartbeat", times?}; kind null ends it

Kinds of misbehaviour:
${misbehaviours()
  .map(({ kind, does }) => `  ${kind.padEnd(16)} ${does}`)
  .join('\n')}
`;

function parseFlags(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        listen: { type: 'string', default: '127.0.0.1:8080' },
        'allow-public-bind': { type: 'boolean', default: false },
        token: { type: 'string' },
        'admin-token': { type: 'string' },
        'heartbeat-interval-ms': { type: 'string', default: '5000' },
        'lease-seconds': { type: 'string', default: String(DEFAULT_LEASE_SECONDS) },
        'key-file': { type: 'string' },
        misbehave: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message.split('\n', 1)[0]);
  }
}

function checkedListen(listen: string): { host: string } {
  try {
    return parseListen(listen);
  } catch (error) {
    throw new UsageError(`--listen: ${(error as Error).message}`);
  }
}

function wholeNumber(flag: string, text: string, least: number, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new UsageError(`--${flag} ${text}: a whole number from ${least} to ${most} is wanted`);
}

function notBlank<Name extends string>(name: Name, value: string | undefined): Partial<Record<Name, string>> {
  if (value === undefined) return {};
  if (value.trim() === '') throw new UsageError(`the value for ${name} is blank`);
  return { [name]: value } as Record<Name, string>;
}

function isLoopback(host: string): boolean {
  return (isIPv4(host) && host.startsWith('127.')) || (isIPv6(host) && host === '::1');
}
