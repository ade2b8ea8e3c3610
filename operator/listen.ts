import { once } from 'node:events';
import type { Server } from 'node:net';

const NO_IPV6: ReadonlySet<string | undefined> = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL']);

/** Rejects with a line that names the address, and the flag that it comes from, when the server can't listen. */
export async function listen(
  server: Server,
  { host, port }: { readonly host: string; readonly port: number },
  flag: string,
): Promise<void> {
  try {
    server.listen(port, host);
    await once(server, 'listening').catch(async (error: NodeJS.ErrnoException) => {
      // `[::]` means every address of this machine, and its kernel may have no IPv6.
      if (host !== '::' || !NO_IPV6.has(error.code)) throw error;
      server.listen(port, '0.0.0.0');
      await once(server, 'listening');
    });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const address = host.includes(':') ? `[${host}]` : host;
    throw new Error(`cannot listen on ${address}:${port} (${flag}): ${code ?? message}`, { cause: error });
  }
}
