import { ADDRESS_PORT, isIpv4, isLoopback, parseAddress } from '../protocol/address.ts';
import { ConfigError } from './config-error.ts';
import type { OptionKey } from './options.ts';
import { OPTIONS } from './options.ts';
import type { Settings } from './settings.ts';
import { parseSocketAddress } from './text-formats.ts';

/** Throws ConfigError for options that are each right but can't go together. */
export function refuseContradictions(settings: Settings): void {
  refusePublicBind(settings, 'listen', '127.0.0.1:4000');
  refusePublicBind(settings, 'healthListen', '127.0.0.1:9091');
  refuseBoth(settings, 'masterToken', 'masterTokenFile');
  const { values } = settings;
  if (values.datapath === 'dgram' && ((values.workers as number | undefined) ?? 1) > 1) {
    throw new ConfigError(
      `${name(settings, 'workers')} ${values.workers as number}: the dgram data path has one worker, leave it out or choose ${name(settings, 'datapath')} mmsg`,
    );
  }
  refuseUnreachableEndpoints(settings);
}

/**
 * Insecure development mode counts only while no key is pinned (today's relay verifies then, too), and never on an
 * address that strangers can reach: loopback, or one specific private address with public binds allowed.
 */
export function secureDevelopment(settings: Settings, warnings: string[]): Settings {
  const { values } = settings;
  if (values.allowInsecureDev !== true) return settings;
  const pinned = (['masterPublicKeys', 'masterKeysFile'] as const).find((key) => values[key] !== undefined);
  if (pinned) {
    warnings.push(
      `${name(settings, 'allowInsecureDev')} changes nothing: leases are verified, as ${name(settings, pinned)} pins Master's key`,
    );
    return { ...settings, values: { ...values, allowInsecureDev: false } };
  }
  const listen = parseSocketAddress(values.listen as string)!;
  if (!isLoopback(listen, 0) && !isPrivate(listen)) {
    throw new ConfigError(
      `${name(settings, 'allowInsecureDev')}=1 lets anybody use the relay, so it needs ${name(settings, 'listen')} on loopback or on one private address, not ${values.listen as string}: write --listen 127.0.0.1:4000, or pin Master's key instead`,
    );
  }
  return settings;
}

function refusePublicBind(settings: Settings, key: 'listen' | 'healthListen', instead: string): void {
  const text = settings.values[key] as string;
  if (settings.values.allowPublicBind === true || isLoopback(parseSocketAddress(text)!, 0)) return;
  const which = settings.origins.has(key)
    ? `${name(settings, key)} ${text}`
    : `--${OPTIONS[key].flag} ${text} (the default)`;
  throw new ConfigError(
    `${which} is open to other machines: set ${OPTIONS.allowPublicBind.variable}=1 (or --allow-public-bind) if that is meant, or write --${OPTIONS[key].flag} ${instead}`,
  );
}

function refuseBoth(settings: Settings, one: OptionKey, other: OptionKey): void {
  if (settings.values[one] === undefined || settings.values[other] === undefined) return;
  throw new ConfigError(
    `${name(settings, one)} and ${name(settings, other)} are both given: keep one of them`,
  );
}

/** An address of this machine alone is no use to peers elsewhere (design-relay 5). */
function refuseUnreachableEndpoints(settings: Settings): void {
  const endpoints = (settings.values.advertise as readonly string[] | undefined) ?? [];
  const listen = parseSocketAddress(settings.values.listen as string)!;
  for (const endpoint of endpoints) {
    if (isLoopback(parseAddress(endpoint)!, 0) && !isLoopback(listen, 0)) {
      throw new ConfigError(
        `${name(settings, 'advertise')} ${endpoint}: peers elsewhere can't reach a loopback address, write the one they can`,
      );
    }
  }
}

/** RFC 1918, RFC 6598, RFC 2544 (198.18/15), link-local, and fc00::/7 of RFC 4193. */
function isPrivate(words: Int32Array): boolean {
  if (!isIpv4(words, 0)) return words[0]! >>> 25 === 0x7e || words[0]! >>> 22 === 0x3fa;
  const ip = words[ADDRESS_PORT - 1]! >>> 0;
  return PRIVATE_IPV4.some(([network, bits]) => ip >>> (32 - bits) === network >>> (32 - bits));
}

const PRIVATE_IPV4: readonly (readonly [number, number])[] = [
  [0x0a000000, 8],
  [0xac100000, 12],
  [0xc0a80000, 16],
  [0x64400000, 10],
  [0xc6120000, 15],
  [0xa9fe0000, 16],
];

function name(settings: Settings, key: OptionKey): string {
  return settings.origins.get(key) ?? `--${OPTIONS[key].flag}`;
}
