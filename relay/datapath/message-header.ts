/**
 * `struct mmsghdr` on 64-bit Linux, as int32 words. Lengths fit their low word, the high one stays 0.
 *   msg_name ptr, msg_namelen u32, msg_iov ptr, msg_iovlen u64, msg_control ptr, msg_controllen u64, msg_flags int, msg_len u32
 */
export const MESSAGE_BYTES = 64;
export const MESSAGE_WORDS = 16;
export const HEADER_NAME = 0;
export const HEADER_NAME_LENGTH = 2;
export const HEADER_IOV = 4;
export const HEADER_IOV_LENGTH = 6;
export const HEADER_CONTROL = 8;
export const HEADER_CONTROL_LENGTH = 10;
export const HEADER_FLAGS = 12;
export const HEADER_LENGTH = 14;

/** `struct iovec`: base ptr, length u64. */
export const IOV_BYTES = 16;
export const IOV_WORDS = 4;
