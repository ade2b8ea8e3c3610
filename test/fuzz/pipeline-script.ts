import { ADDRESS_PORT, formatAddress, parseAddress } from '../../relay/protocol/address.ts';
import { leasePresentDatagram } from '../../relay/protocol/lease-present.ts';
import {
  GENERATIONS,
  insiderAddress,
  insiderLease,
  PAIRS,
  pairSession,
  START_WALL_MS,
  STRANGER_SESSIONS,
  STRANGERS,
  STRANGERS_LEASES,
  strangerSession,
  STUN_ID,
  STUN_SERVER,
} from './cast.ts';
import type { Leases } from './cast.ts';
import { hostileDatagram } from './hostile-datagrams.ts';
import type { Material } from './hostile-datagrams.ts';
import { mutated } from './mutation.ts';
import type { Random } from './random.ts';
import { anyRecord } from './records.ts';
import { hex } from './target.ts';

/** One thing that happens to a pipeline. Each stands for itself, so that any of them can be left out. */
export type Step =
  /** From a stranger. */
  | { readonly kind: 'datagram'; readonly bytes: Uint8Array; readonly source: Int32Array }
  /** A stranger sends what a peer presented, as it was or tampered with. */
  | {
      readonly kind: 'copy';
      readonly pair: number;
      /** Which of all that the pair presented, counted from the last. */
      readonly back: number;
      readonly source: Int32Array;
      /** Seed of the mutation; undefined: an exact copy. */
      readonly mutation: number | undefined;
    }
  /** Both peers of a pair present their leases for the pair's n-th session; hasty: and send at once, before any is verified. */
  | {
      readonly kind: 'meet';
      readonly pair: number;
      readonly generation: number;
      readonly hasty: boolean;
    }
  /** A peer presents its newer lease. */
  | { readonly kind: 'renew'; readonly pair: number; readonly role: 0 | 1 }
  /** A peer of a pair sends its last packet a second time. */
  | { readonly kind: 'again'; readonly pair: number; readonly role: 0 | 1 }
  /** Each peer of a pair sends the other one packet. */
  | { readonly kind: 'talk'; readonly pair: number; readonly size: number }
  /** Time passes in which all pairs talk. */
  | { readonly kind: 'time'; readonly ms: number }
  /** Time passes in which nobody does. */
  | { readonly kind: 'silence'; readonly ms: number }
  /** The wall clock is put forward or back. */
  | { readonly kind: 'clock'; readonly ms: number }
  /** So many leases out of the queue are verified. */
  | { readonly kind: 'verify'; readonly leases: number }
  | { readonly kind: 'sweep' }
  | { readonly kind: 'drain'; readonly on: boolean }
  | { readonly kind: 'shed'; readonly on: boolean }
  | { readonly kind: 'own'; readonly addresses: Int32Array }
  | { readonly kind: 'stun' }
  | { readonly kind: 'restore'; readonly record: Uint8Array }
  /** The process ends and starts again with the records that it kept. */
  | { readonly kind: 'restart' };

/** `length` steps: most of them strangers' datagrams. */
export function script(random: Random, leases: Leases, length: number): Step[] {
  const material = materialOf(leases);
  const met = Array.from({ length: PAIRS }, () => 0);
  const steps: Step[] = [];
  for (let pair = 0; pair < PAIRS; pair++) {
    steps.push({ kind: 'meet', pair, generation: 0, hasty: random.oneIn(2) });
  }
  while (steps.length < length) steps.push(step(random, material, met));
  return steps;
}

function materialOf({ tokens }: Leases): Material {
  const sessions = [
    ...Array.from({ length: PAIRS * GENERATIONS }, (_, i) => pairSession(i % PAIRS, Math.floor(i / PAIRS))),
    ...Array.from({ length: 8 }, (_, i) => strangerSession(i)),
    new Uint8Array(16),
  ];
  const addresses = [...STRANGERS, parseAddress('203.0.113.5:61000')!];
  return { sessions, tokens: STRANGERS_LEASES.map((lease) => tokens[lease]!), stunId: STUN_ID, addresses };
}

function step(random: Random, material: Material, met: number[]): Step {
  const kind = random.below(1000);
  const pair = random.below(PAIRS);
  if (kind < 400) return strangersDatagram(random, material, met);
  if (kind < 600) return insidersDatagram(random, material);
  if (kind < 640) {
    const mutation = random.oneIn(3) ? random.u32() : undefined;
    return { kind: 'copy', pair, back: random.below(6), source: strangersSource(random), mutation };
  }
  if (kind < 800) {
    return { kind: 'talk', pair, size: random.oneIn(10) ? 1500 : random.between(38, 200) };
  }
  if (kind < 880) return { kind: 'time', ms: random.oneIn(12) ? random.below(9000) : random.below(400) };
  if (kind < 940) return { kind: 'verify', leases: random.between(1, 6) };
  if (kind < 950) return { kind: 'sweep' };
  if (kind < 958) return { kind: 'again', pair, role: random.below(2) as 0 | 1 };
  if (kind < 972) return { kind: 'renew', pair, role: random.below(2) as 0 | 1 };
  if (kind < 982) {
    const generation = (met[pair]! + 1) % GENERATIONS;
    met[pair] = generation;
    return { kind: 'meet', pair, generation, hasty: random.oneIn(2) };
  }
  // Far steps are rare: after them every lease has expired, and little is left to go wrong.
  const far = random.oneIn(24);
  if (kind < 986)
    return { kind: 'silence', ms: far ? random.below(7_200_000) : random.between(2000, 30_000) };
  if (kind < 988) {
    const most = far ? 4_000_000 : 40_000;
    return { kind: 'clock', ms: random.between(-most, most) };
  }
  if (kind < 990) return { kind: 'drain', on: random.oneIn(3) };
  if (kind < 992) return { kind: 'shed', on: random.oneIn(3) };
  if (kind < 994) return { kind: 'own', addresses: random.pick(STRANGERS) };
  if (kind < 996) return { kind: 'stun' };
  if (kind < 998) {
    const record = anyRecord(random, START_WALL_MS);
    return { kind: 'restore', record: random.oneIn(2) ? mutatedRecord(random, record) : record };
  }
  return { kind: 'restart' };
}

function strangersDatagram(random: Random, material: Material, met: readonly number[]): Step {
  const pair = random.below(PAIRS);
  const mine = {
    ...material,
    sessions: random.oneIn(2)
      ? [pairSession(pair, met[pair]!)]
      : random.oneIn(8)
        ? [random.noise(16)]
        : material.sessions,
  };
  return { kind: 'datagram', bytes: hostileDatagram(random, mine), source: strangersSource(random) };
}

/** Of a peer that Master gave a lease to, and that does with it whatever it likes: it replays, floods and moves about. */
function insidersDatagram(random: Random, material: Material): Step {
  const session = random.below(STRANGER_SESSIONS);
  const role = random.below(2) as 0 | 1;
  const source = insiderAddress(session, role);
  if (random.oneIn(12)) source[ADDRESS_PORT] = 7000 + random.below(3);
  const mine = {
    ...material,
    sessions: [strangerSession(session)],
    tokens: [material.tokens[STRANGERS_LEASES.indexOf(insiderLease(session, role))]!],
  };
  if (random.oneIn(4)) {
    const token = Buffer.from(mine.tokens[0]!).toString('latin1');
    return { kind: 'datagram', bytes: leasePresentDatagram(mine.sessions[0]!, role, token), source };
  }
  return { kind: 'datagram', bytes: hostileDatagram(random, mine), source };
}

function strangersSource(random: Random): Int32Array {
  if (random.oneIn(40)) return STUN_SERVER;
  if (!random.oneIn(3)) return random.pick(STRANGERS);
  return Int32Array.of(0, 0, 0xffff, random.u32(), random.between(1, 65_535), 0);
}

function mutatedRecord(random: Random, record: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(256);
  bytes.set(mutated(random, record).subarray(0, 256));
  return bytes;
}

/** One line, enough to play the step again. */
export function showStep(step: Step): string {
  switch (step.kind) {
    case 'datagram':
      return `datagram from ${formatAddress(step.source, 0)}, ${step.bytes.length} bytes: ${hex(step.bytes)}`;
    case 'copy':
      return JSON.stringify({ ...step, source: formatAddress(step.source, 0) });
    case 'own':
      return `own endpoint ${formatAddress(step.addresses, 0)}`;
    case 'restore':
      return `restore ${hex(step.record)}`;
    default:
      return JSON.stringify(step);
  }
}
