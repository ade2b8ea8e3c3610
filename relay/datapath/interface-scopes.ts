import { networkInterfaces } from 'node:os';

/**
 * Link-local addresses carry their interface: Node writes its name (`fe80::1%eth0`), protocol/address.ts its number.
 * Looked up anew at most once a second, as interfaces come and go.
 */
export class InterfaceScopes {
  readonly #numbers = new Map<string, string>();
  readonly #names = new Map<string, string>();
  #readMs = -Infinity;

  /** `fe80::1%eth0` as `fe80::1%2`; anything else, and an unknown interface, as it is. */
  numbered(ip: string): string {
    return this.#replace(ip, this.#numbers);
  }

  /** `fe80::1%2` as `fe80::1%eth0`. */
  named(ip: string): string {
    return this.#replace(ip, this.#names);
  }

  #replace(ip: string, scopes: ReadonlyMap<string, string>): string {
    const percent = ip.indexOf('%');
    if (percent < 0) return ip;
    const scope = ip.slice(percent + 1);
    if (!scopes.has(scope)) this.#read();
    return `${ip.slice(0, percent)}%${scopes.get(scope) ?? scope}`;
  }

  #read(): void {
    const nowMs = performance.now();
    if (nowMs - this.#readMs < 1000) return;
    this.#readMs = nowMs;
    this.#numbers.clear();
    this.#names.clear();
    for (const [name, entries] of Object.entries(networkInterfaces())) {
      for (const entry of entries ?? []) {
        if (entry.family !== 'IPv6' || entry.scopeid === 0) continue;
        this.#numbers.set(name, String(entry.scopeid));
        this.#names.set(String(entry.scopeid), name);
      }
    }
  }
}
