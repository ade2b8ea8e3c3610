import { addressOf } from './libc.ts';

/**
 * Memory that the kernel reads and writes: an ArrayBuffer, its address, and views of it.
 *
 * The block never crosses a 4 GiB line, so that the pointer to byte `n` of it is the pair (`low + n | 0`, `high`): two
 * int32 stores into a native structure, without a BigInt or a double on the packet path. Keep the object for as long as
 * the kernel may touch the memory (V8 frees a buffer that nobody refers to).
 */
export class NativeBlock {
  readonly buffer: ArrayBufferLike;
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly address: number;
  readonly low: number;
  readonly high: number;

  /** `size` is in bytes and a multiple of 4. */
  constructor(size: number) {
    this.buffer = belowLine(size, () => new ArrayBuffer(size));
    this.address = addressOf(this.buffer);
    const { low, high } = splitAddress(this.address);
    this.low = low;
    this.high = high;
    this.bytes = new Uint8Array(this.buffer);
    this.words = new Int32Array(this.buffer);
  }

  /** Writes the pointer to byte `offset` of this block into words[at] and words[at + 1] (little-endian). */
  pointTo(offset: number, words: Int32Array, at: number): void {
    words[at] = (this.low + offset) | 0;
    words[at + 1] = this.high;
  }
}

/** Shared memory with the same property, for rings that the kernel sends from. */
export function allocateShared(size: number): SharedArrayBuffer {
  return belowLine(size, () => new SharedArrayBuffer(size));
}

/** The low and high word of an address that a block begins with. */
export function splitAddress(address: number): { readonly low: number; readonly high: number } {
  return { low: address | 0, high: Math.floor(address / LINE) };
}

const LINE = 2 ** 32;

/** The buffers in the way are kept until a good one is found, else the allocator would give the same one again. */
function belowLine<Buffer extends ArrayBufferLike>(size: number, allocate: () => Buffer): Buffer {
  const inTheWay: Buffer[] = [];
  for (;;) {
    const buffer = allocate();
    const address = addressOf(buffer);
    if (Math.floor(address / LINE) === Math.floor((address + size - 1) / LINE)) return buffer;
    inTheWay.push(buffer);
  }
}
