import { SharedAdmission } from '../../relay/pipeline/admission.ts';
import { ADMISSION_FLOATS, ADMISSION_WORDS } from '../../relay/pipeline/admission.ts';
import { bookImbalance, Counter, COUNTER_CELLS } from '../../relay/pipeline/counters.ts';
import { HELD_BYTES } from '../../relay/pipeline/held-forwards.ts';
import { LeaseQueue } from '../../relay/pipeline/lease-queue.ts';
import { Pipeline } from '../../relay/pipeline/pipeline.ts';
import type { PipelineLimits } from '../../relay/pipeline/pipeline.ts';
import { Verdict } from '../../relay/pipeline/verdict.ts';
import { ADDRESS_PORT, ADDRESS_WORDS, formatAddress, sameAddress } from '../../relay/protocol/address.ts';
import { HEADER_BYTES, MAX_DATAGRAM, MessageType, writeHeader } from '../../relay/protocol/header.ts';
import { leasePresentDatagram } from '../../relay/protocol/lease-present.ts';
import { writeRiftTransport } from '../../relay/protocol/rift.ts';
import { readRecord, RECORD_BYTES } from '../../relay/session/record.ts';
import {
  GENERATIONS,
  PAIRS,
  pairLease,
  pairSession,
  peerAddress,
  RELAY_ID,
  START_WALL_MS,
  STUN_ID,
  STUN_SERVER,
} from './cast.ts';
import type { Leases, RoleNumber } from './cast.ts';
import { MAX_UDP_BYTES, mutated } from './mutation.ts';
import { PipelineOracle } from './pipeline-oracle.ts';
import type { Step } from './pipeline-script.ts';
import { Random } from './random.ts';

export interface WorldOptions {
  readonly limits: PipelineLimits;
  readonly maxSessions: number;
  readonly shedThresholdPct: number;
  readonly queueCapacity: number;
  readonly insecure: boolean;
  readonly hashSeed: Uint32Array;
  /** What lies around the datagrams in the receive buffer, and where in it they are: neither may matter. */
  readonly surroundings: number;
}

/** Small limits, so that they are met. */
export function anyOptions(random: Random): WorldOptions {
  return {
    limits: {
      idleTimeoutMs: random.pick([1000, 5000, 60_000]),
      leaseDurationMs: random.pick([3000, 30_000, 300_000]),
      cleanupIntervalMs: random.pick([1000, 10_000]),
      renewOnTraffic: !random.oneIn(5),
      rebindOnForward: random.oneIn(4) ? 'off' : 'port',
      ipRateLimitPps: random.pick([2, 50, 1000]),
      identityRateLimitPps: random.pick([2, 20, 200]),
    },
    maxSessions: random.pick([1, 3, PAIRS, 8, 16, 100]),
    shedThresholdPct: random.pick([50, 95, 100]),
    queueCapacity: random.pick([2, 4, 16, 64]),
    insecure: random.oneIn(8),
    hashSeed: Uint32Array.from({ length: 4 }, () => random.u32()),
    surroundings: random.u32(),
  };
}

/** Clocks step no further than this while pairs talk: they ping at least so often. */
const PING_MS = 400;
const POISON_BYTES = 64;
const PRESENTED_KEPT = 6;

interface Pair {
  /** The session that both peers were acknowledged for; undefined: none, or it may be over. */
  generation: number | undefined;
  /** When it may be over, monotonic milliseconds. */
  untilMs: number;
  /** Of each session: the last sequence sent. */
  readonly sequences: number[];
  /** After a restart and a newer lease nothing is known of what was sent before. */
  windowIsNew: boolean;
  /** The leases that it goes on with, as an honest peer does with its newest. */
  readonly renewed: Set<number>;
  /** LEASE_PRESENTs that were accepted, the last first. */
  presented: Uint8Array[];
}

/** A pipeline in a worker's hands, with what must hold checked at every step. Throws when it does not. */
export class PipelineWorld {
  /** Datagrams received so far. */
  datagrams = 0;
  /** Of honest peers, forwarded as they should be. */
  talked = 0;

  readonly #options: WorldOptions;
  readonly #leases: Leases;
  readonly #pairs: Pair[] = Array.from({ length: PAIRS }, () => ({
    generation: undefined,
    untilMs: 0,
    sequences: Array.from({ length: GENERATIONS }, () => 0),
    windowIsNew: false,
    renewed: new Set<number>(),
    presented: [],
  }));
  readonly #oracle = new PipelineOracle();
  readonly #arena: Uint8Array;
  readonly #arenaOffset: number;
  readonly #packet: Uint8Array = new Uint8Array(MAX_DATAGRAM);
  readonly #record: Uint8Array = new Uint8Array(RECORD_BYTES);
  #cells: Float64Array = new Float64Array(COUNTER_CELLS);
  #admission: SharedAdmission;
  #queue: LeaseQueue;
  #pipeline: Pipeline;
  #nowMs = 1e7;
  #wallMs = START_WALL_MS;
  #stunUntilMs = -Infinity;
  /** What takeHeld gave to send on in the last call of #verify. */
  #released: string[] = [];

  /** What the pipeline did, in a number. */
  get trace(): number {
    return this.#oracle.trace;
  }

  constructor(options: WorldOptions, leases: Leases) {
    this.#options = options;
    this.#leases = leases;
    this.#arenaOffset = POISON_BYTES + (options.surroundings % 61);
    this.#arena = new Uint8Array(MAX_UDP_BYTES + 3 * POISON_BYTES);
    this.#admission = this.#newAdmission();
    this.#queue = new LeaseQueue(options.queueCapacity);
    this.#pipeline = this.#newPipeline();
  }

  play(step: Step): void {
    switch (step.kind) {
      case 'datagram':
        this.#deliver(step.bytes, step.source);
        break;
      case 'copy':
        this.#copy(step.pair, step.back, step.source, step.mutation);
        break;
      case 'meet':
        this.#meet(step.pair, step.generation, step.hasty);
        break;
      case 'renew':
        this.#renew(step.pair, step.role);
        break;
      case 'talk':
        this.#talk(step.pair, step.size);
        break;
      case 'again':
        this.#again(step.pair, step.role);
        break;
      case 'time':
        this.#pass(step.ms);
        break;
      case 'silence':
        this.#nowMs += step.ms;
        this.#wallMs += step.ms;
        // From now on whoever copied a lease may take its place (design-relay 3).
        for (const pair of this.#pairs) pair.generation = undefined;
        this.#duties();
        break;
      case 'clock':
        this.#wallMs += step.ms;
        break;
      case 'verify':
        this.#verify(step.leases);
        break;
      case 'sweep':
        this.#duties();
        break;
      case 'drain':
        this.#admission.setDraining(step.on ? this.#nowMs : undefined, this.#wallMs);
        break;
      case 'shed':
        this.#admission.setShedding(step.on);
        break;
      case 'own':
        this.#pipeline.setOwnEndpoints(step.addresses);
        break;
      case 'stun':
        this.#stunUntilMs = this.#nowMs + 3000;
        this.#pipeline.expectStun(STUN_SERVER, STUN_ID, this.#stunUntilMs);
        break;
      case 'restore':
        this.#restore(step.record);
        break;
      case 'restart':
        this.#restart();
        break;
    }
    this.#judge();
  }

  #newAdmission(): SharedAdmission {
    const { maxSessions, shedThresholdPct } = this.#options;
    return new SharedAdmission(
      new Int32Array(ADMISSION_WORDS),
      new Float64Array(ADMISSION_FLOATS),
      maxSessions,
      shedThresholdPct,
    );
  }

  #newPipeline(): Pipeline {
    const { limits, maxSessions, hashSeed, insecure } = this.#options;
    return new Pipeline({
      relayId: RELAY_ID,
      sessionCapacity: maxSessions,
      limits,
      counters: this.#cells,
      seed: hashSeed,
      admission: this.#admission,
      journal: undefined,
      verify: this.#leases.verify,
      insecure,
      heldBytes: new Uint8Array(HELD_BYTES),
      nowMs: this.#nowMs,
      wallMs: this.#wallMs,
    });
  }

  /** What a worker does with a datagram; the verdict. */
  #deliver(bytes: Uint8Array, source: Int32Array): Verdict {
    this.datagrams++;
    const { length } = bytes;
    const offset = this.#place(bytes);
    const pipeline = this.#pipeline;
    const verdict = pipeline.receive(this.#arena, offset, length, source, 0, this.#nowMs);
    this.#oracle.fold(verdict);
    switch (verdict) {
      case Verdict.Forward:
        this.#oracle.judgeForward(pipeline, bytes, source);
        if (this.datagrams % 16 === 0) pipeline.sendFailed(1);
        else pipeline.forwarded(1, length);
        break;
      case Verdict.Reply:
        this.#oracle.judgeReply(pipeline, bytes, source);
        break;
      case Verdict.Lease: {
        this.#oracle.presented(bytes, source);
        const { knownSession } = pipeline;
        if (!this.#queue.push(this.#arena, offset, length, source, 0, knownSession)) pipeline.queueFull();
        break;
      }
      case Verdict.Stun:
        if (this.#nowMs >= this.#stunUntilMs)
          throw new Error('a STUN answer was taken that nobody waits for');
        if (!sameAddress(source, 0, STUN_SERVER, 0)) throw new Error('a STUN answer of a stranger was taken');
        if (pipeline.stunMapped[ADDRESS_PORT] === 0) throw new Error('a STUN answer with port 0 was taken');
        this.#stunUntilMs = -Infinity;
        break;
      case Verdict.Drop:
        if (pipeline.dropReason < 0) throw new Error('dropped without a reason');
        break;
      case Verdict.Held:
        if (this.#queue.size === 0) throw new Error('held, but no lease waits');
        break;
    }
    return verdict;
  }

  /** Copies a datagram into the receive buffer, between bytes that are none of its business. */
  #place(bytes: Uint8Array): number {
    const offset = this.#arenaOffset;
    const end = offset + bytes.length;
    this.#arena.fill(this.#options.surroundings, offset - POISON_BYTES, offset);
    this.#arena.set(bytes, offset);
    this.#arena.fill(this.#options.surroundings >>> 8, end, end + POISON_BYTES);
    return offset;
  }

  /** Verifies up to `leases` of those that wait. */
  #verify(leases: number): void {
    const queue = this.#queue;
    this.#released = [];
    for (let left = leases; left > 0 && queue.shift(); left--) {
      const { offset, length, sourceBase } = queue;
      const verdict = this.#pipeline.present(
        queue.bytes,
        offset,
        length,
        queue.sources,
        sourceBase,
        this.#nowMs,
        this.#wallMs,
      );
      this.#oracle.fold(verdict);
      if (verdict === Verdict.Reply) {
        this.#oracle.judgeReply(
          this.#pipeline,
          queue.bytes.subarray(offset, offset + length),
          queue.sources.slice(sourceBase, sourceBase + ADDRESS_WORDS),
        );
      } else if (verdict !== Verdict.Drop) throw new Error(`present gave verdict ${verdict}`);
      this.#takeHeld();
    }
  }

  #takeHeld(): void {
    const pipeline = this.#pipeline;
    const { held } = pipeline;
    for (;;) {
      const verdict = pipeline.takeHeld(this.#nowMs);
      this.#oracle.fold(verdict);
      if (verdict === Verdict.Held) return;
      if (verdict === Verdict.Drop) {
        if (pipeline.dropReason < 0) throw new Error('dropped without a reason');
        continue;
      }
      if (verdict !== Verdict.Forward) throw new Error(`takeHeld gave verdict ${verdict}`);
      const bytes = held.bytes.slice(held.offset, held.offset + held.length);
      this.#oracle.judgeForward(
        pipeline,
        bytes,
        held.sources.slice(held.sourceBase, held.sourceBase + ADDRESS_WORDS),
      );
      pipeline.forwarded(1, held.length);
      this.#released.push(Buffer.from(bytes).toString('hex'));
    }
  }

  #duties(): void {
    const pipeline = this.#pipeline;
    pipeline.sweep(this.#nowMs, this.#wallMs);
    for (let due = 0; pipeline.takeDue(this.#nowMs, this.#wallMs) === Verdict.Reply; due++) {
      this.#oracle.judgeDue(pipeline);
      if (due > 2 * this.#options.maxSessions) throw new Error('more peers moved than there are');
    }
  }

  /** Time in which every pair that is in a session goes on talking. */
  #pass(ms: number): void {
    for (let left = ms; left > 0; left -= PING_MS) {
      const step = Math.min(left, PING_MS);
      this.#nowMs += step;
      this.#wallMs += step;
      for (let pair = 0; pair < PAIRS; pair++) this.#talk(pair, 64);
      this.#duties();
    }
  }

  #meet(index: number, generation: number, hasty: boolean): void {
    const pair = this.#pairs[index]!;
    this.#verify(Infinity);
    pair.generation = undefined;
    const { leaseDurationMs, renewOnTraffic } = this.#options.limits;
    const acknowledged = hasty
      ? this.#meetHastily(index, generation)
      : ([0, 1] as const).every((role) => this.#present(index, generation, role));
    if (!acknowledged) return;
    const lease = this.#leases.expiresMs(this.#leaseOf(index, generation, 1));
    pair.generation = generation;
    pair.untilMs = renewOnTraffic ? Infinity : this.#nowMs + Math.max(leaseDurationMs, lease - this.#wallMs);
    this.#talk(index, 100);
  }

  /** Both present and send without waiting for an answer, as deployed peers do: nothing is lost but to the rate limit. */
  #meetHastily(index: number, generation: number): boolean {
    const { sequences } = this.#pairs[index]!;
    const before = this.#cells[Counter.lease_accepted_packets]!;
    const presents = ([0, 1] as const).map((role) => {
      const present = this.#presentOf(index, generation, this.#leaseOf(index, generation, role), role);
      this.#deliver(present, peerAddress(index, role));
      return present;
    });
    const sent: [string[], string[]] = [[], []];
    for (const role of [0, 1, 0, 1] as const) {
      const packet = this.#rift(index, generation, role, ++sequences[generation]!, 64);
      const verdict = this.#deliver(packet, peerAddress(index, role));
      if (verdict === Verdict.Held) sent[role].push(Buffer.from(packet).toString('hex'));
      else if (verdict === Verdict.Drop && this.#queue.size === 2) {
        const { dropReason } = this.#pipeline;
        if (dropReason !== Counter.rate_limited_packets) {
          throw new Error(`a packet behind a present was dropped for reason ${dropReason}`);
        }
      }
    }
    this.#verify(Infinity);
    if (this.#cells[Counter.lease_accepted_packets]! - before < 2) return false;
    for (const own of sent) {
      const came = this.#released.filter((packet) => own.includes(packet));
      if (came.join() !== own.join()) {
        throw new Error(
          `of ${own.length} packets behind a present ${came.length} came through, in whatever order`,
        );
      }
    }
    for (const present of presents) this.#keep(index, present);
    return true;
  }

  /** Presents, and says whether that was acknowledged at once. */
  #present(pair: number, generation: number, role: RoleNumber, lease?: number): boolean {
    const datagram = this.#presentOf(pair, generation, lease ?? this.#leaseOf(pair, generation, role), role);
    const before = this.#cells[Counter.lease_accepted_packets]!;
    this.#deliver(datagram, peerAddress(pair, role));
    this.#verify(Infinity);
    if (this.#cells[Counter.lease_accepted_packets] === before) return false;
    this.#keep(pair, datagram);
    return true;
  }

  #presentOf(pair: number, generation: number, lease: number, role: RoleNumber): Uint8Array {
    const token = Buffer.from(this.#leases.tokens[lease]!).toString('latin1');
    return leasePresentDatagram(pairSession(pair, generation), role, token);
  }

  /** Nobody gets hold of a lease that the relay has not accepted: with a newer one whoever presents it first would win. */
  #keep(pair: number, present: Uint8Array): void {
    const { presented } = this.#pairs[pair]!;
    this.#pairs[pair]!.presented = [present, ...presented].slice(0, PRESENTED_KEPT);
  }

  #rift(pair: number, generation: number, role: RoleNumber, sequence: number, size: number): Uint8Array {
    const packet = this.#packet.subarray(0, size);
    writeHeader(packet, 0, MessageType.Forward, pairSession(pair, generation), 0);
    writeRiftTransport(packet, HEADER_BYTES, 7 + role, 0, sequence);
    return packet;
  }

  #copy(pair: number, back: number, source: Int32Array, mutation: number | undefined): void {
    const { presented } = this.#pairs[pair]!;
    const copy = presented[back % Math.max(1, presented.length)];
    if (!copy) return;
    this.#deliver(mutation === undefined ? copy : mutated(new Random(mutation), copy), source);
  }

  #renew(index: number, role: RoleNumber): void {
    const { generation } = this.#pairs[index]!;
    if (generation === undefined) return;
    this.#verify(Infinity);
    const lease = pairLease(index, generation, role, true);
    if (!this.#present(index, generation, role, lease)) return;
    this.#pairs[index]!.renewed.add(lease);
    this.#pairs[index]!.windowIsNew = true;
  }

  #leaseOf(pair: number, generation: number, role: RoleNumber): number {
    const newest = pairLease(pair, generation, role, true);
    return this.#pairs[pair]!.renewed.has(newest) ? newest : pairLease(pair, generation, role);
  }

  /** A session of honest peers carries their packets, whatever strangers have done. */
  #talk(index: number, size: number): void {
    const pair = this.#pairs[index]!;
    const { generation } = pair;
    if (generation === undefined) return;
    if (this.#nowMs >= pair.untilMs) {
      pair.generation = undefined;
      return;
    }
    const sequence = (pair.sequences[generation] = pair.sequences[generation]! + 1);
    for (const role of [0, 1] as const) {
      const packet = this.#rift(index, generation, role, sequence, size);
      const verdict = this.#deliver(packet, peerAddress(index, role));
      const receiver = peerAddress(index, (1 - role) as RoleNumber);
      const { destinations, destinationBase, dropReason } = this.#pipeline;
      if (verdict !== Verdict.Forward) {
        const reason = Object.keys(Counter)[dropReason];
        throw new Error(`a packet of pair ${index} was not forwarded: verdict ${verdict}, ${reason}`);
      }
      if (!sameAddress(destinations, destinationBase, receiver, 0)) {
        throw new Error(
          `a packet of pair ${index} went to ${formatAddress(destinations, destinationBase)} instead of ${formatAddress(receiver, 0)}`,
        );
      }
      this.talked++;
    }
    pair.windowIsNew = false;
  }

  /** What was sent is not sent a second time. */
  #again(index: number, role: RoleNumber): void {
    const { generation, sequences, untilMs, windowIsNew } = this.#pairs[index]!;
    if (generation === undefined || windowIsNew || this.#nowMs >= untilMs) return;
    const packet = this.#rift(index, generation, role, sequences[generation]!, 64);
    const verdict = this.#deliver(packet, peerAddress(index, role));
    const { dropReason } = this.#pipeline;
    if (verdict !== Verdict.Drop || dropReason !== Counter.replay_dropped_packets) {
      throw new Error(`a packet of pair ${index} passed twice, or was dropped for reason ${dropReason}`);
    }
  }

  #restore(record: Uint8Array): void {
    const held = this.#pipeline.heldSessions;
    if (!this.#pipeline.restore(record, this.#nowMs, this.#wallMs)) {
      if (this.#pipeline.heldSessions !== held) throw new Error('a record that was refused left something');
      return;
    }
    const restored = readRecord(record, 0, RELAY_ID);
    if (!restored) throw new Error('a record was restored that can not be read');
    this.#oracle.restored(restored);
  }

  /** Every session that is not over comes back, and those who talk in it need do nothing for that. */
  #restart(): void {
    this.#verify(Infinity);
    this.#judge();
    for (const pair of this.#pairs) pair.windowIsNew = true;
    const records: Uint8Array[] = [];
    for (let slot = 0; slot < this.#options.maxSessions; slot++) {
      if (!this.#pipeline.writeRecord(slot, this.#record, 0, this.#nowMs, this.#wallMs)) continue;
      records.push(this.#record.slice());
    }
    if (records.length !== this.#pipeline.heldSessions) throw new Error('not every session has a record');
    this.#cells = new Float64Array(COUNTER_CELLS);
    this.#admission = this.#newAdmission();
    this.#queue = new LeaseQueue(this.#options.queueCapacity);
    this.#pipeline = this.#newPipeline();
    this.#stunUntilMs = -Infinity;
    for (const record of records) {
      const session = readRecord(record, 0, RELAY_ID);
      if (!session) throw new Error(`a record that was written can not be read: ${record.toString()}`);
      const over = session.expiresWallMs <= this.#wallMs;
      if (this.#pipeline.restore(record, this.#nowMs, this.#wallMs) === over) {
        throw new Error(over ? 'a session that is over came back' : 'a session did not come back');
      }
    }
  }

  #judge(): void {
    const { heldSessions, activeSessions } = this.#pipeline;
    if (heldSessions !== this.#admission.held) {
      throw new Error(`${heldSessions} sessions, but ${this.#admission.held} places are taken`);
    }
    if (heldSessions > this.#options.maxSessions || activeSessions > heldSessions || activeSessions < 0) {
      throw new Error(`${activeSessions} of ${heldSessions} sessions are active`);
    }
    const waiting = this.#queue.size;
    if (waiting > this.#options.queueCapacity) throw new Error(`${waiting} leases wait`);
    if (waiting > 0) return;
    if (this.#pipeline.held.size > 0) throw new Error('packets are held, but no lease waits');
    const imbalance = bookImbalance(this.#cells);
    if (imbalance !== undefined) throw new Error(imbalance);
  }
}
