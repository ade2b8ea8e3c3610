import koffi from 'koffi';
import { getSystemErrorMessage } from 'node:util';
import { inNetworkNamespace } from '../kernel.ts';
import { parseMessages, type NetlinkMessage } from './message.ts';

/** The kernel has refused a netlink request. */
export class NetlinkError extends Error {
  override name = 'NetlinkError';
  /** A positive error number, such as 95 for "operation not supported". */
  readonly errno: number;

  constructor(errno: number, doing: string) {
    super(`${doing} failed: ${getSystemErrorMessage(-errno)}`);
    this.errno = errno;
  }
}

/**
 * A NETLINK_NETFILTER socket in a network namespace. The kernel works a request off before `send` returns, so its
 * answers are there to be read at once and nothing here ever waits.
 */
export class NetlinkSocket {
  readonly #fd: number;

  /** @param namespaceFile undefined for the namespace of this process */
  constructor(namespaceFile: string | undefined) {
    const open = (): number => socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    this.#fd = namespaceFile === undefined ? open() : inNetworkNamespace(namespaceFile, open);
    if (this.#fd < 0) throw new NetlinkError(koffi.errno(), 'opening a netlink socket');
  }

  /**
   * Sends messages and returns the answers that are no acknowledgements.
   *
   * @throws NetlinkError with the first error among the answers; `doing` says what was tried.
   */
  request(messages: Buffer, doing: string): NetlinkMessage[] {
    const kernel = Buffer.alloc(12);
    kernel.writeUInt16LE(AF_NETLINK, 0);
    if (Number(sendto(this.#fd, messages, messages.length, 0, kernel, kernel.length)) < 0)
      throw new NetlinkError(koffi.errno(), doing);
    const answers: NetlinkMessage[] = [];
    const buffer = Buffer.alloc(65_536);
    for (;;) {
      const length = Number(recv(this.#fd, buffer, buffer.length, MSG_DONTWAIT));
      // EAGAIN: that was all.
      if (length <= 0) return answers;
      for (const message of parseMessages(Buffer.from(buffer.subarray(0, length)))) {
        if (message.type === NLMSG_DONE) return answers;
        if (message.type !== NLMSG_ERROR) answers.push(message);
        else if (message.payload.readInt32LE(0) !== 0) {
          this.#drain(buffer);
          throw new NetlinkError(-message.payload.readInt32LE(0), doing);
        }
      }
    }
  }

  close(): void {
    close(this.#fd);
  }

  #drain(buffer: Buffer): void {
    while (Number(recv(this.#fd, buffer, buffer.length, MSG_DONTWAIT)) > 0);
  }
}

// include/linux/socket.h, include/uapi/linux/netlink.h
const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0x80000;
const NETLINK_NETFILTER = 12;
const MSG_DONTWAIT = 0x40;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;

const libc = koffi.load(null);
const socket = libc.func('int socket(int domain, int type, int protocol)');
const sendto = libc.func(
  'intptr_t sendto(int fd, const void *data, size_t length, int flags, const void *to, uint size)',
);
const recv = libc.func('intptr_t recv(int fd, _Out_ void *buffer, size_t length, int flags)');
const close = libc.func('int close(int fd)');
