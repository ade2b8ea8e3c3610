const ENOUGH_BYTES = 1024 * 1024;

/** What to tell the operator about a receive buffer of so many bytes, or undefined when it is large enough (design-relay 2). */
export function smallBufferWarning(bytes: number): string | undefined {
  if (bytes >= ENOUGH_BYTES) return undefined;
  return `the receive buffer is only ${Math.round(bytes / 1024)} KiB, so the kernel will drop bursts: raise net.core.rmem_max (sysctl -w net.core.rmem_max=8388608), or give the relay CAP_NET_ADMIN`;
}
