import koffi from 'koffi';
import { closeSync, openSync } from 'node:fs';
import { getSystemErrorMessage } from 'node:util';

/**
 * Runs `work` with this thread in another network namespace, so that the sockets it makes belong there; they stay
 * there after it. `work` must be synchronous: nothing else of this thread may run meanwhile.
 *
 * @param file a file the namespace is bound to, or /proc/…/ns/net
 */
export function inNetworkNamespace<Result>(file: string, work: () => Result): Result {
  const own = openSync('/proc/thread-self/ns/net', 'r');
  try {
    const other = openSync(file, 'r');
    try {
      check(setns(other, CLONE_NEWNET), `entering the network namespace ${file}`);
    } finally {
      closeSync(other);
    }
    try {
      return work();
    } finally {
      check(setns(own, CLONE_NEWNET), 'coming back from a network namespace');
    }
  } finally {
    closeSync(own);
  }
}

/** Makes a mount and all below it read-only, for everybody who sees it through this path (mount_setattr(2)). */
export function makeReadOnly(path: string): void {
  const attributes = new BigUint64Array([MOUNT_ATTR_RDONLY, 0n, 0n, 0n]);
  check(
    Number(
      mountSetattr(
        SYS_MOUNT_SETATTR,
        AT_FDCWD,
        path,
        AT_RECURSIVE,
        attributes,
        BigInt(attributes.byteLength),
      ),
    ),
    `making ${path} read-only`,
  );
}

// include/uapi/linux/{sched,fcntl,mount}.h; the number of mount_setattr is the same on every architecture.
const CLONE_NEWNET = 0x40000000;
const AT_FDCWD = -100;
const AT_RECURSIVE = 0x8000;
const MOUNT_ATTR_RDONLY = 1n;
const SYS_MOUNT_SETATTR = 442;

const libc = koffi.load(null);
const setns = libc.func('int setns(int fd, int nstype)');
const mountSetattr = libc.func(
  'long syscall(long number, long dirfd, const char *path, long flags, void *attributes, ulong size)',
);

function check(result: number, doing: string): void {
  if (result < 0) throw new Error(`${doing} failed: ${getSystemErrorMessage(-koffi.errno())}`);
}
