import { BlockList, isIP } from 'node:net';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY ask for on the way to `server`, by the rules of Go, which kubectl
 * and client-go follow: undici's own reading of NO_PROXY knows no CIDR, and in-cluster addresses are written as such
 * (https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config).
 */
export function proxyFromEnvironment(server: string, env: Environment): string | undefined {
  const { protocol, hostname, port } = new URL(server);
  const name = protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY';
  const proxy = env[name] || env[name.toLowerCase()];
  if (!proxy) return undefined;
  const host = hostname.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  if (host === 'localhost' || isInside(host, '127.0.0.0/8') || isInside(host, '::1/128')) return undefined;
  const exceptions = (env['NO_PROXY'] || env['no_proxy'] || '').split(',');
  const ownPort = port || (protocol === 'https:' ? '443' : '80');
  if (exceptions.some((exception) => covers(exception.trim().toLowerCase(), host, ownPort))) return undefined;
  return proxy.includes('://') ? proxy : `http://${proxy}`;
}

function covers(exception: string, host: string, port: string): boolean {
  if (exception === '') return false;
  if (exception === '*') return true;
  if (exception.includes('/')) return isInside(host, exception);
  const [, name = '', onlyPort] = isIP(exception)
    ? [exception, exception]
    : (/^\[?([^\]]+?)\]?(?::(\d+))?$/.exec(exception) ?? []);
  if (onlyPort !== undefined && onlyPort !== port) return false;
  if (isIP(name)) return name === host;
  const domain = name.replace(/^\*\./, '.');
  return domain.startsWith('.') ? host.endsWith(domain) : host === domain || host.endsWith(`.${domain}`);
}

function isInside(host: string, cidr: string): boolean {
  const [network, length] = cidr.split('/') as [string, string];
  const family = isIP(network);
  if (family === 0 || family !== isIP(host) || !/^\d+$/.test(length)) return false;
  if (Number(length) > (family === 4 ? 32 : 128)) return false;
  const type = family === 4 ? 'ipv4' : 'ipv6';
  const list = new BlockList();
  list.addSubnet(network, Number(length), type);
  return list.check(host, type);
}
