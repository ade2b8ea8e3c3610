import { readI32 } from '../protocol/big-endian.ts';
import { MIN_DATAGRAM } from '../protocol/header.ts';
import { NativeBlock } from './native-block.ts';

/**
 * Which worker a datagram belongs to: the last four bytes of its session id, modulo the workers (design-relay 1), so that
 * both peers of a session meet on one worker. STUN answers and nudges carry the number at the same place.
 */

const STEERING_OFFSET = 16;

/** The worker of a datagram of 20 bytes or more at `offset`; a shorter one is nobody's and stays where it is. */
export function workerOf(bytes: Uint8Array, offset: number, workers: number): number {
  return (readI32(bytes, offset + STEERING_OFFSET) >>> 0) % workers;
}

/** The worker of a session by its 16-byte id: the same four bytes. */
export function workerOfSession(bytes: Uint8Array, idOffset: number, workers: number): number {
  return (readI32(bytes, idOffset + 12) >>> 0) % workers;
}

/**
 * `struct sock_fprog` for SO_ATTACH_REUSEPORT_CBPF, and its program right behind it:
 *   ld #len; jge #20, next, short; next: ld [16]; mod #workers; ret a; short: ret #0xffffffff
 *
 * Byte 0 is the payload's first, the result an index in the order of binding. A load beyond the packet would return 0 and
 * give every runt to worker 0; an index out of range leaves the choice to the kernel's hash.
 */
export function steeringProgram(workers: number): { readonly block: NativeBlock; readonly bytes: number } {
  const program = [
    [BPF_LD_W_LEN, 0, 0, 0],
    [BPF_JMP_JGE_K, 0, 3, MIN_DATAGRAM],
    [BPF_LD_W_ABS, 0, 0, STEERING_OFFSET],
    [BPF_ALU_MOD_K, 0, 0, workers],
    [BPF_RET_A, 0, 0, 0],
    [BPF_RET_K, 0, 0, 0xffffffff],
  ] as const;
  const block = new NativeBlock(FPROG_BYTES + program.length * INSTRUCTION_BYTES);
  const view = new DataView(block.buffer);
  view.setUint16(0, program.length, true);
  block.pointTo(FPROG_BYTES, block.words, 2);
  for (const [i, [code, jumpTrue, jumpFalse, k]] of program.entries()) {
    const at = FPROG_BYTES + i * INSTRUCTION_BYTES;
    view.setUint16(at, code, true);
    view.setUint8(at + 2, jumpTrue);
    view.setUint8(at + 3, jumpFalse);
    view.setUint32(at + 4, k, true);
  }
  return { block, bytes: FPROG_BYTES };
}

/** struct sock_fprog: length u16, padding, pointer to the instructions; struct sock_filter: code u16, jt u8, jf u8, k u32. */
const FPROG_BYTES = 16;
const INSTRUCTION_BYTES = 8;
/** linux/bpf_common.h and linux/filter.h. */
const BPF_LD_W_LEN = 0x80;
const BPF_JMP_JGE_K = 0x35;
const BPF_LD_W_ABS = 0x20;
const BPF_ALU_MOD_K = 0x94;
const BPF_RET_A = 0x16;
const BPF_RET_K = 0x06;
