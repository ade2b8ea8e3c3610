import type { SocketAddress } from '../config/config.ts';
import {
  ADDRESS_PORT,
  formatAddress,
  isBroadcast,
  isIpv4,
  isLinkLocal,
  isLoopback,
  isMulticast,
  isUnspecified,
  parseAddress,
} from '../protocol/address.ts';

/** More than a relay has addresses, and far less than a registration may hold. */
export const MAX_ENDPOINTS = 8;

export interface EndpointSources {
  /** What the socket is really bound to. */
  readonly bound: SocketAddress;
  /** `--advertise`; when there are any, nothing else counts. */
  readonly advertise: readonly string[];
  /** Of the control directory; undefined or empty: it says nothing. */
  readonly controlDirectory: readonly string[] | undefined;
  /** `--stun-server`, when one is configured, and what it last said. */
  readonly stun: { readonly server: string; readonly mapped: string | undefined } | undefined;
}

/** What to register, or why there is nothing (design-relay 5, "Endpoints"). */
export type EndpointChoice =
  | { readonly endpoints: readonly string[]; readonly problem?: undefined }
  | { readonly endpoints: readonly []; readonly problem: string };

/** `--advertise`, else the control directory, else STUN, else the listen address when it is one that peers can be sent to. */
export function chooseEndpoints(sources: EndpointSources): EndpointChoice {
  const { bound, advertise, controlDirectory, stun } = sources;
  if (advertise.length > 0) return parseEndpoints(advertise, bound);
  if (controlDirectory !== undefined && controlDirectory.length > 0) {
    return parseEndpoints(controlDirectory, bound);
  }
  if (stun) {
    if (stun.mapped === undefined) return none(`no answer from STUN server ${stun.server} yet`);
    const choice = parseEndpoints([stun.mapped], bound);
    return choice.problem === undefined ? choice : none(`STUN server ${stun.server} says ${choice.problem}`);
  }
  const choice = parseEndpoints([textOf(bound)], bound);
  if (choice.problem === undefined) return choice;
  return none(
    `${choice.problem}: give --advertise ip:port (or --stun-server, or a file "endpoints" in --control-dir)`,
  );
}

/**
 * Checks addresses that are to be registered and brings them into the form that Master compares: numeric, without
 * repetitions, IPv4 first (Master counts relays by the text before the first colon of the first endpoint, wire reference 4).
 */
export function parseEndpoints(texts: readonly string[], bound: SocketAddress): EndpointChoice {
  if (texts.length > MAX_ENDPOINTS) {
    return none(`${texts.length} endpoints are too many, at most ${MAX_ENDPOINTS}`);
  }
  const found: { text: string; v4: boolean }[] = [];
  for (const given of texts) {
    const words = parseAddress(given);
    if (!words) return none(`${quote(given)} is not a numeric ip:port`);
    const problem = whyUnreachable(words, bound);
    if (problem !== undefined) return none(`${given} ${problem}`);
    const text = formatAddress(words, 0);
    if (!found.some((other) => other.text === text)) found.push({ text, v4: isIpv4(words, 0) });
  }
  const first = found.filter(({ v4 }) => v4);
  const then = found.filter(({ v4 }) => !v4);
  return { endpoints: [...first, ...then].map(({ text }) => text) };
}

/** `ip:port` or `[ip]:port`. */
export function textOf({ host, port, family }: SocketAddress): string {
  return family === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

function none(problem: string): EndpointChoice {
  return { endpoints: [], problem };
}

function whyUnreachable(words: Int32Array, bound: SocketAddress): string | undefined {
  if (words[ADDRESS_PORT] === 0) return 'has port 0';
  if (isUnspecified(words, 0)) return 'is no address that peers can be sent to';
  if (isMulticast(words, 0) || isBroadcast(words, 0)) return 'is a multicast or broadcast address';
  if (isLinkLocal(words, 0)) return 'is a link-local address, which means nothing elsewhere';
  if (isLoopback(words, 0)) {
    const own = parseAddress(textOf(bound));
    if (!own || !isLoopback(own, 0)) {
      return `is a loopback address, while the relay listens on ${textOf(bound)}`;
    }
  }
  return undefined;
}

/** Whoever wrote it may have written anything. */
function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}
