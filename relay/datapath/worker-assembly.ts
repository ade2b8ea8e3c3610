import { randomFillSync } from 'node:crypto';
import { receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import { KeyRing } from '../lease/key-ring.ts';
import { verifyLease } from '../lease/verify-lease.ts';
import { LeaseQueue } from '../pipeline/lease-queue.ts';
import { Pipeline } from '../pipeline/pipeline.ts';
import { STUN_REQUEST_BYTES, STUN_TRANSACTION_ID_BYTES, writeBindingRequest } from '../protocol/stun.ts';
import { monotonicMs } from './clock.ts';
import { DirtyRecords } from './dirty-records.ts';
import { PacketLog } from './packet-log.ts';
import { SharedState } from './shared-state.ts';
import { WorkerDuties, type ReplySink } from './worker-duties.ts';
import type { Mail, Report, WorkerSetup } from './worker-setup.ts';

export interface WorkerAssembly {
  readonly pipeline: Pipeline;
  readonly counters: Float64Array;
  readonly state: SharedState;
  readonly duties: WorkerDuties;
}

/** Builds what every worker has, restores its sessions, and wires it to the main thread. `heldBytes`: see PipelineOptions. */
export function assembleWorker(
  setup: WorkerSetup,
  port: MessagePort,
  replies: () => ReplySink,
  heldBytes: Uint8Array,
): WorkerAssembly {
  const state = new SharedState(setup.state, setup.workers);
  const counters = state.counters(setup.index);
  let keyRing = new KeyRing(setup.keys);
  const nowMs = monotonicMs();
  const wallMs = Date.now();

  const records = setup.records
    ? new DirtyRecords(setup.records, setup.index, setup.maxSessions, (slot, out, offset, now, wall) =>
        pipeline.writeRecord(slot, out, offset, now, wall),
      )
    : undefined;
  const pipeline: Pipeline = new Pipeline({
    relayId: setup.relayId,
    sessionCapacity: setup.maxSessions,
    limits: setup.limits,
    counters,
    seed: setup.seed,
    admission: state.admission(setup.maxSessions, setup.shedThresholdPct),
    journal: records,
    verify: (token, sessionId, role, nowWallMs, insecureIdentity) =>
      verifyLease(token, sessionId, role, {
        relayId: setup.relayId,
        keyRing,
        nowMs: nowWallMs,
        insecureIdentity,
      }),
    insecure: setup.insecure,
    heldBytes,
    nowMs,
    wallMs,
  });
  pipeline.setOwnEndpoints(setup.ownEndpoints);
  for (const record of setup.restored) pipeline.restore(record, nowMs, wallMs);
  records?.publish(nowMs);

  const report = (message: Report): void => port.postMessage(message);
  let asked = 0;
  const duties = new WorkerDuties({
    index: setup.index,
    pipeline,
    leases: new LeaseQueue(setup.packetQueueCapacity),
    state,
    records,
    log: setup.logPackets ? new PacketLog((line) => report({ kind: 'log', line })) : undefined,
    mail: (now) => {
      for (let next = receiveMessageOnPort(port); next; next = receiveMessageOnPort(port)) {
        const mail = next.message as Mail;
        if (mail.kind === 'keys') keyRing = new KeyRing(mail.keys);
        else if (mail.kind === 'own-endpoints') pipeline.setOwnEndpoints(mail.addresses);
        else {
          asked = mail.id;
          askStun(pipeline, replies(), setup, mail.server, now, mail.timeoutMs);
        }
      }
    },
    stunAnswered: (mapped) => report({ kind: 'stun', id: asked, mapped: mapped.slice() }),
  });
  return { pipeline, counters, state, duties };
}

/** The last four bytes of the transaction id have this worker's residue: that steers the answer back (design-relay 5). */
function askStun(
  pipeline: Pipeline,
  replies: ReplySink,
  setup: WorkerSetup,
  server: Int32Array,
  nowMs: number,
  timeoutMs: number,
): void {
  const transactionId = randomFillSync(new Uint8Array(STUN_TRANSACTION_ID_BYTES));
  const tail = new DataView(transactionId.buffer, STUN_TRANSACTION_ID_BYTES - 4);
  const random = Math.floor(tail.getUint32(0) / 2 / setup.workers) * setup.workers;
  tail.setUint32(0, random + setup.index);
  const request = new Uint8Array(STUN_REQUEST_BYTES);
  writeBindingRequest(request, 0, transactionId);
  pipeline.expectStun(server, transactionId, nowMs + timeoutMs);
  replies.reply(request, request.length, server, 0, nowMs);
  replies.flush(nowMs);
}
