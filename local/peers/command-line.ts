import { parseArgs } from 'node:util';

import type { AddressRange } from './addresses.ts';
import { parseEndpoint, parseRange } from './addresses.ts';
import type { BadLease } from './bad-leases.ts';
import { BAD_LEASES, findBadLease } from './bad-leases.ts';
import type { FloodKind } from './flood.ts';
import { FLOOD_KINDS } from './flood.ts';
import type { PeersOptions } from './peers-options.ts';
import { MAX_DATAGRAM, TRANSPORT_OVERHEAD } from './wire.ts';

/** A command line that can't be followed; its message is the one line to print before exit 64. */
export class UsageError extends Error {}

/** Where leases come from. */
export type LeaseOrigin =
  | { readonly master: string }
  | { readonly relay: string; readonly relayId: string; readonly keyFile: string };

export interface CommandLine {
  readonly origin: LeaseOrigin;
  readonly peers: Omit<PeersOptions, 'leases' | 'onSecond'>;
  readonly badLease?: BadLease;
  readonly bind?: AddressRange;
  readonly maxLossPercent: number;
  readonly json: boolean;
}

/** Null when help is wanted. Throws UsageError. */
export function parseCommandLine(args: readonly string[]): CommandLine | null {
  const values = parseFlags(args);
  if (values.help) return null;
  const behaviour = oneOf('behaviour', values.behaviour, ['deployed', 'renewing'] as const);
  const rate = number('rate', values.rate, 0, 1_000_000);
  const size = whole('size', values.size, TRANSPORT_OVERHEAD, MAX_DATAGRAM);
  const duration = number('duration', values.duration, 0, 1_000_000);
  const bind = values.bind === undefined ? undefined : range(values.bind);
  const flood = floodOf(values);
  const sessions = whole('sessions', values.sessions, flood ? 0 : 1, 100_000);
  const hardKbps =
    values['hard-kbps'] === undefined
      ? neededKbps(rate, size, values.bidirectional)
      : whole('hard-kbps', values['hard-kbps'], 1000, 0xffff_ffff);
  const badLease = values['bad-lease'] === undefined ? undefined : badLeaseOf(values['bad-lease']);
  return {
    origin: originOf(values),
    peers: {
      sessions,
      rate,
      size,
      hardKbps,
      behaviour,
      train: whole('trains', values.trains, 1, 1000),
      ...(duration > 0 && { durationSeconds: duration }),
      bidirectional: values.bidirectional,
      setupRate: number('setup-rate', values['setup-rate'], 1, 100_000),
      renewSeconds: number('renew-seconds', values['renew-seconds'], 0.1, 86_400),
      replay: values.replay,
      copiedToken: values['copied-token'],
      ...(values['lease-seconds'] !== undefined && {
        leaseSeconds: whole('lease-seconds', values['lease-seconds'], 1, 3600),
      }),
      ...(values['rebind-after'] !== undefined && {
        rebindAfterSeconds: number('rebind-after', values['rebind-after'], 0, 86_400),
      }),
      ...(bind && { bind }),
      ...(flood && { flood }),
    },
    ...(badLease && { badLease }),
    ...(bind && { bind }),
    maxLossPercent: number('max-loss', values['max-loss'], 0, 100),
    json: values.json,
  };
}

export const HELP: string = `Usage: npm run peers -- [options]

Pairs of peers that talk through a relay and check every packet they get.

Leases:
  --master URL            development Master to ask (default http://127.0.0.1:8080)
  --relay IP:PORT         no Master: sign leases for this relay here, with
  --relay-id ID             its relay id (see its /health) and
  --master-key-file FILE    Master's private key (dev-master --key-file)
  --lease-seconds SECONDS validity of a lease (default: Master's, 900)
  --hard-kbps KBPS        hard limit of a session (default: what --rate takes, at least 100000)

Traffic:
  --sessions N            pairs of peers (default 1)
  --rate PPS              packets a second, each session and direction (default 100; 0: pings)
  --size BYTES            of a datagram with all headers, ${TRANSPORT_OVERHEAD} to ${MAX_DATAGRAM} (default 1200)
  --duration SECONDS      of traffic (default 10; 0: until Ctrl-C)
  --trains N              send N packets back to back, N times as far apart (default 1)
  --bidirectional         clients send as well; without it servers do, and both ping
  --setup-rate N          sessions set up a second, at most (default 250)
  --bind ADDRESS[/BITS]   IPv4 addresses to send from, peer by peer (default: the system's choice)

Behaviour:
  --behaviour deployed    present once, ping every 500 ms, ignore the relay's answers (default)
  --behaviour renewing    present until acknowledged, give up at a reject, renew and present on
  --renew-seconds SECONDS between the renewals of a renewing peer (default 60)
  --rebind-after SECONDS  every client goes on from a new port, as a NAT makes it do

Misbehaviour:
  --bad-lease KIND        only present bad leases, and check the answers (kinds below)
  --replay                send every packet a second time, and some when they are old
  --copied-token          for each session somebody else presents a copy of the client's lease
  --flood KIND            packets from strangers: ${FLOOD_KINDS.join(', ')}
  --flood-rate PPS        all addresses together (default 1000)
  --flood-addresses N     how many strangers, at 127.66.0.0/16 or at --bind (default 1)

Result:
  --max-loss PERCENT      of packets that may be lost (default 0)
  --json                  one JSON document on stdout, the progress goes to stderr
  --help                  this text

Exit code: 0 when every session was set up and nothing was corrupted, duplicated, stolen or, beyond
--max-loss, lost; 1 otherwise; 64 for a command line that makes no sense.

Kinds of bad leases:
${BAD_LEASES.map(({ kind, what }) => `  ${kind.padEnd(16)} ${what}`).join('\n')}
`;

type Flags = ReturnType<typeof parseFlags>;

function parseFlags(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        master: { type: 'string' },
        relay: { type: 'string' },
        'relay-id': { type: 'string' },
        'master-key-file': { type: 'string' },
        'lease-seconds': { type: 'string' },
        'hard-kbps': { type: 'string' },
        sessions: { type: 'string', default: '1' },
        rate: { type: 'string', default: '100' },
        size: { type: 'string', default: '1200' },
        duration: { type: 'string', default: '10' },
        trains: { type: 'string', default: '1' },
        bidirectional: { type: 'boolean', default: false },
        'setup-rate': { type: 'string', default: '250' },
        bind: { type: 'string' },
        behaviour: { type: 'string', default: 'deployed' },
        'renew-seconds': { type: 'string', default: '60' },
        'rebind-after': { type: 'string' },
        'bad-lease': { type: 'string' },
        replay: { type: 'boolean', default: false },
        'copied-token': { type: 'boolean', default: false },
        flood: { type: 'string' },
        'flood-rate': { type: 'string' },
        'flood-addresses': { type: 'string' },
        'max-loss': { type: 'string', default: '0' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message.split('\n', 1)[0]);
  }
}

function originOf(values: Flags): LeaseOrigin {
  const { master, relay, 'relay-id': relayId, 'master-key-file': keyFile } = values;
  if (relay === undefined && relayId === undefined && keyFile === undefined) {
    const url = master ?? 'http://127.0.0.1:8080';
    if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
      throw new UsageError(`--master ${url}: an http:// URL is wanted`);
    }
    return { master: url };
  }
  if (master !== undefined) throw new UsageError('--master and --relay: leases come from one of the two');
  if (relay === undefined || relayId === undefined || keyFile === undefined) {
    throw new UsageError('--relay, --relay-id and --master-key-file belong together');
  }
  return { relay: checked('relay', relay, parseEndpoint) && relay, relayId, keyFile };
}

function floodOf(values: Flags): { kind: FloodKind; rate: number; addresses: number } | undefined {
  const { flood, 'flood-rate': rate = '1000', 'flood-addresses': addresses = '1' } = values;
  if (flood === undefined) {
    for (const flag of ['flood-rate', 'flood-addresses'] as const) {
      if (values[flag] !== undefined) throw new UsageError(`--${flag} needs --flood`);
    }
    return undefined;
  }
  return {
    kind: oneOf('flood', flood, FLOOD_KINDS),
    rate: number('flood-rate', rate, 1, 10_000_000),
    addresses: whole('flood-addresses', addresses, 1, 50_000),
  };
}

function badLeaseOf(kind: string): BadLease {
  const bad = findBadLease(kind);
  if (!bad) throw new UsageError(`--bad-lease ${kind}: unknown, --help lists the kinds`);
  return bad;
}

/** Master's default, or what the asked rate takes and a tenth more, with room for pings. */
function neededKbps(rate: number, size: number, bidirectional: boolean): number {
  const directions = bidirectional ? 2 : 1;
  return Math.max(100_000, Math.ceil((rate * size * 8 * directions * 1.1) / 1000) + 10);
}

function range(text: string): AddressRange {
  return checked('bind', text, parseRange);
}

function checked<T>(flag: string, text: string, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (error) {
    throw new UsageError(`--${flag}: ${(error as Error).message}`);
  }
}

function number(flag: string, text: string, least: number, most: number): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new UsageError(`--${flag} ${text}: a number from ${least} to ${most} is wanted`);
}

function whole(flag: string, text: string, least: number, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new UsageError(`--${flag} ${text}: a whole number from ${least} to ${most} is wanted`);
}

function oneOf<const T extends string>(flag: string, text: string, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === text);
  if (found === undefined) throw new UsageError(`--${flag} ${text}: one of ${allowed.join(', ')} is wanted`);
  return found;
}
