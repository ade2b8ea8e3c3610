import { MIN_DATAGRAM } from '../protocol/header.ts';
import { NativeBlock } from './native-block.ts';
import { STEERING_OFFSET } from './steering.ts';

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
