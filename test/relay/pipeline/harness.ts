import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { LeaseProblem } from '../../../relay/lease/lease-problem.ts';
import type { LeaseVerdict } from '../../../relay/lease/verify-lease.ts';
import { ADMISSION_FLOATS, ADMISSION_WORDS, SharedAdmission } from '../../../relay/pipeline/admission.ts';
import { bookImbalance, Counter, COUNTER_CELLS } from '../../../relay/pipeline/counters.ts';
import type { CounterName } from '../../../relay/pipeline/counters.ts';
import { HELD_BYTES } from '../../../relay/pipeline/held-forwards.ts';
import { Pipeline } from '../../../relay/pipeline/pipeline.ts';
import type { LeaseVerifier, PipelineLimits } from '../../../relay/pipeline/pipeline.ts';
import { Verdict } from '../../../relay/pipeline/verdict.ts';
import { formatAddress, parseAddress } from '../../../relay/protocol/address.ts';
import { HEADER_BYTES, MessageType, writeHeader } from '../../../relay/protocol/header.ts';
import { leasePresentDatagram } from '../../../relay/protocol/lease-present.ts';
import { readLeaseAck } from '../../../relay/protocol/lease-ack.ts';
import { readLeaseReject } from '../../../relay/protocol/lease-reject.ts';
import { leaseRenewDatagram } from '../../../relay/protocol/lease-renew.ts';
import { writeRiftHandshake, writeRiftTransport } from '../../../relay/protocol/rift.ts';
import { Role } from '../../../relay/protocol/role.ts';

export const RELAY_ID = 'relay-under-test';
export const START_MS = 1_000_000;
export const START_WALL_MS = Date.UTC(2026, 1, 13, 10, 0, 0);

const DEFAULT_LIMITS: PipelineLimits = {
  idleTimeoutMs: 60_000,
  leaseDurationMs: 300_000,
  cleanupIntervalMs: 10_000,
  renewOnTraffic: true,
  rebindOnForward: 'port',
  ipRateLimitPps: 1000,
  identityRateLimitPps: 200,
};

/** What a test token says; the fake verifier reads it back. */
export interface TestToken {
  readonly sub?: string;
  /** Milliseconds after START_WALL_MS; null: no `iat`. */
  readonly iat?: number | null;
  readonly exp?: number;
  /** The registered exp. */
  readonly registeredExp?: number;
  readonly soft?: number;
  readonly hard?: number;
  readonly problem?: LeaseProblem;
  /** Makes tokens differ that say the same. */
  readonly note?: string;
}

export type Outcome =
  | { readonly kind: 'forward'; readonly to: string; readonly flow: number }
  | {
      readonly kind: 'ack';
      readonly to: string;
      readonly expiresMs: number;
      readonly soft: number;
      readonly hard: number;
    }
  | { readonly kind: 'reject'; readonly reason: number; readonly counter: CounterName }
  | { readonly kind: 'drop'; readonly counter: CounterName }
  | { readonly kind: 'stun'; readonly mapped: string }
  /** A lease that is to be verified, and a FORWARD that waits for one. */
  | { readonly kind: 'waits' | 'held' };

/** What a lease got, and after it the FORWARDs that it had held up, in order. */
export interface Verified {
  readonly outcome: Outcome;
  readonly held: readonly { readonly bytes: Uint8Array; readonly outcome: Outcome }[];
}

interface Arrival {
  /** The datagram is not at offset 0, nor the address, so that mixed-up offsets show. */
  readonly buffer: Uint8Array;
  readonly length: number;
  readonly sources: Int32Array;
  readonly from: string;
}

export interface HarnessOptions {
  readonly limits?: Partial<PipelineLimits>;
  readonly maxSessions?: number;
  readonly capacity?: number;
  readonly shedPct?: number;
  readonly insecure?: boolean;
  readonly verify?: LeaseVerifier;
  readonly seed?: Uint32Array;
  readonly startMs?: number;
  readonly startWallMs?: number;
}

const NAMES = new Map(
  (Object.entries(Counter) as [CounterName, number][]).map(([name, index]) => [index, name]),
);

/** A pipeline with its clocks, a fake lease verifier and a datapath that sends at once. */
export class Harness {
  readonly cells: Float64Array = new Float64Array(COUNTER_CELLS);
  readonly admission: SharedAdmission;
  readonly pipeline: Pipeline;
  readonly dirty: number[] = [];
  readonly removed: number[] = [];
  nowMs: number;
  wallMs: number;
  verifications = 0;
  readonly #waiting: Arrival[] = [];

  constructor(options: HarnessOptions = {}) {
    this.nowMs = options.startMs ?? START_MS;
    this.wallMs = options.startWallMs ?? START_WALL_MS;
    const maxSessions = options.maxSessions ?? 100;
    this.admission = new SharedAdmission(
      new Int32Array(ADMISSION_WORDS),
      new Float64Array(ADMISSION_FLOATS),
      maxSessions,
      options.shedPct ?? 100,
    );
    this.pipeline = new Pipeline({
      relayId: RELAY_ID,
      sessionCapacity: options.capacity ?? maxSessions,
      limits: { ...DEFAULT_LIMITS, ...options.limits },
      counters: this.cells,
      seed: options.seed ?? Uint32Array.of(1, 2, 3, 4),
      admission: this.admission,
      journal: {
        dirty: (slot) => this.dirty.push(slot),
        removed: (slot) => this.removed.push(slot),
      },
      verify: (token, sessionId, role, wallMs, insecureIdentity) => {
        this.verifications++;
        return (options.verify ?? judge)(token, sessionId, role, wallMs, insecureIdentity);
      },
      insecure: options.insecure ?? false,
      heldBytes: new Uint8Array(HELD_BYTES),
      nowMs: this.nowMs,
      wallMs: this.wallMs,
    });
  }

  count(name: CounterName): number {
    return this.cells[Counter[name]]!;
  }

  /** Both clocks go on; nothing is swept. */
  pass(ms: number): void {
    this.nowMs += ms;
    this.wallMs += ms;
  }

  sweep(): void {
    this.pipeline.sweep(this.nowMs, this.wallMs);
  }

  /** Time goes on in steps, with a sweep at each. */
  live(ms: number, stepMs = 1000): void {
    for (let passed = 0; passed < ms; passed += stepMs) {
      this.pass(Math.min(stepMs, ms - passed));
      this.sweep();
    }
  }

  /** A lease is verified at once. */
  send(bytes: Uint8Array, from: string): Outcome {
    const outcome = this.arrive(bytes, from);
    if (outcome.kind !== 'waits') return outcome;
    const { outcome: verified, held } = this.#verify(this.#waiting.pop()!);
    assert.equal(held.length, 0, 'held FORWARDs are for who calls arrive and verify');
    return verified;
  }

  /** A lease waits until it is verified. */
  arrive(bytes: Uint8Array, from: string): Outcome {
    const source = parseAddress(from);
    assert.ok(source, `bad address ${from}`);
    const { length } = bytes;
    const buffer = new Uint8Array(length + 11);
    buffer.set(bytes, 7);
    const sources = new Int32Array(12);
    sources.set(source, 6);
    const verdict = this.pipeline.receive(buffer, 7, length, sources, 6, this.nowMs);
    if (verdict === Verdict.Lease) this.#waiting.push({ buffer, length, sources, from });
    const outcome = this.#outcome(verdict, bytes, from);
    // What is held was copied.
    if (verdict === Verdict.Held) buffer.fill(0xee);
    return outcome;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** The lease that has waited longest. */
  verify(): Verified {
    return this.#verify(this.#waiting.shift()!);
  }

  /** The next acknowledgement for an address that had to wait, or undefined. */
  takeDue(): Outcome | undefined {
    if (this.pipeline.takeDue(this.nowMs, this.wallMs) === Verdict.Drop) return undefined;
    return this.#answer(formatAddress(this.pipeline.destinations, this.pipeline.destinationBase));
  }

  present(session: number, role: Role, token: TestToken, from: string): Outcome {
    return this.send(presentOf(session, role, token), from);
  }

  renew(session: number, from: string): Outcome {
    return this.send(leaseRenewDatagram(sessionId(session)), from);
  }

  /** A RIFT transport packet. */
  rift(session: number, from: string, id: number, options: { alias?: number; size?: number } = {}): Outcome {
    return this.send(riftOf(session, id, options), from);
  }

  /** Two peers, active. */
  pair(session: number, client: string, server: string, token: TestToken = {}): void {
    assert.equal(this.present(session, Role.Client, { sub: 'client', ...token }, client).kind, 'ack');
    assert.equal(this.present(session, Role.Server, { sub: 'server', ...token }, server).kind, 'ack');
  }

  record(slot: number): Uint8Array | undefined {
    const out = new Uint8Array(300);
    const written = this.pipeline.writeRecord(slot, out, 20, this.nowMs, this.wallMs);
    return written ? out.slice(20, 276) : undefined;
  }

  restore(record: Uint8Array): boolean {
    return this.pipeline.restore(record, this.nowMs, this.wallMs);
  }

  balanced(): void {
    assert.equal(bookImbalance(this.cells), undefined);
  }

  #verify({ buffer, length, sources, from }: Arrival): Verified {
    const { pipeline } = this;
    const verdict = pipeline.present(buffer, 7, length, sources, 6, this.nowMs, this.wallMs);
    const outcome = this.#outcome(verdict, buffer.subarray(7, 7 + length), from);
    const held = [];
    for (;;) {
      const next = pipeline.takeHeld(this.nowMs);
      if (next === Verdict.Held) return { outcome, held };
      const at = pipeline.held;
      const bytes = at.bytes.slice(at.offset, at.offset + at.length);
      held.push({ bytes, outcome: this.#outcome(next, bytes, formatAddress(at.sources, at.sourceBase)) });
    }
  }

  #outcome(verdict: Verdict, bytes: Uint8Array, from: string): Outcome {
    const { pipeline } = this;
    if (verdict === Verdict.Lease) return { kind: 'waits' };
    if (verdict === Verdict.Held) return { kind: 'held' };
    if (verdict === Verdict.Forward) {
      pipeline.forwarded(1, bytes.length);
      return {
        kind: 'forward',
        to: formatAddress(pipeline.destinations, pipeline.destinationBase),
        flow: pipeline.flow,
      };
    }
    if (verdict === Verdict.Stun) return { kind: 'stun', mapped: formatAddress(pipeline.stunMapped, 0) };
    if (verdict === Verdict.Drop) return { kind: 'drop', counter: NAMES.get(pipeline.dropReason)! };
    const renew = bytes[2] === MessageType.LeaseRenew;
    assert.ok(renew || pipeline.replyLength <= bytes.length, 'an answer larger than what it answers');
    assert.deepEqual(pipeline.reply.subarray(4, 20), bytes.subarray(4, 20), 'the answer names the session');
    return this.#answer(from);
  }

  #answer(to: string): Outcome {
    const { reply, replyLength, dropReason } = this.pipeline;
    const payload = replyLength - HEADER_BYTES;
    if (reply[2] === MessageType.LeaseAck) {
      const ack = readLeaseAck(reply, HEADER_BYTES, payload)!;
      return { kind: 'ack', to, expiresMs: ack.expiresMs, soft: ack.softKbps, hard: ack.hardKbps };
    }
    assert.equal(reply[2], MessageType.LeaseReject);
    return {
      kind: 'reject',
      reason: readLeaseReject(reply, HEADER_BYTES, payload)!,
      counter: NAMES.get(dropReason)!,
    };
  }
}

/** 16 bytes; 0 is a session like any other here (not the nil id). */
export function sessionId(session: number): Uint8Array {
  return new Uint8Array(createHash('sha256').update(`session ${session}`).digest().subarray(0, 16));
}

export function presentOf(session: number, role: Role, token: TestToken): Uint8Array {
  return leasePresentDatagram(sessionId(session), role, tokenText(sessionId(session), role, token));
}

/** What it says, and a seal over that in place of a signature. */
function tokenText(id: Uint8Array, role: Role, token: TestToken): string {
  const said = JSON.stringify(token).padEnd(140, ' ');
  return said + sealOf(id, role, said);
}

function sealOf(id: Uint8Array, role: Role, said: string): string {
  return createHash('sha256').update(id).update(String(role)).update(said).digest('hex');
}

/** Any FORWARD payload. */
export function forwardOf(session: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + payload.length);
  writeHeader(bytes, 0, MessageType.Forward, sessionId(session), 0);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}

export function riftOf(
  session: number,
  id: number,
  { alias = 7, size = 100 }: { alias?: number; size?: number } = {},
): Uint8Array {
  const payload = new Uint8Array(size - HEADER_BYTES);
  writeRiftTransport(payload, 0, alias, Math.floor(id / 2 ** 32), id >>> 0);
  return forwardOf(session, payload);
}

/** A RIFT handshake message, packet id 0 unless another is given. */
export function handshakeOf(session: number, id = 0): Uint8Array {
  const payload = new Uint8Array(60);
  writeRiftHandshake(payload, 0, [1, 2, 3], 0, id);
  return forwardOf(session, payload);
}

/** A payload that is not RIFT: the sequence as u64, then zeros. */
export function plainOf(session: number, sequence: bigint, size = 100): Uint8Array {
  const payload = new Uint8Array(size - HEADER_BYTES);
  new DataView(payload.buffer).setBigUint64(0, sequence);
  return forwardOf(session, payload);
}

function judge(
  token: Uint8Array,
  sessionId: Uint8Array,
  role: Role,
  wallMs: number,
  insecureIdentity: string | undefined,
): LeaseVerdict {
  const text = new TextDecoder().decode(token);
  if (text.slice(-64) !== sealOf(sessionId, role, text.slice(0, -64))) return { problem: 'bad-signature' };
  const said = JSON.parse(text.slice(0, -64)) as TestToken;
  if (said.problem) return { problem: said.problem };
  const expiresMs = START_WALL_MS + (said.exp ?? 900_000);
  const validUntilMs = Math.min(expiresMs, START_WALL_MS + (said.registeredExp ?? 3_600_000));
  if (validUntilMs <= wallMs - 30_000) return { problem: 'expired' };
  const identity = insecureIdentity ?? said.sub ?? (role === Role.Client ? 'client' : 'server');
  return {
    lease: {
      sessionId: new Uint8Array(sessionId),
      role,
      identity,
      identityHash: createHash('sha256').update(identity).digest(),
      issuedAtMs: said.iat === null ? undefined : START_WALL_MS + (said.iat ?? 0),
      expiresMs,
      validUntilMs,
      softKbps: said.soft ?? 50_000,
      hardKbps: said.hard ?? 100_000,
    },
  };
}
