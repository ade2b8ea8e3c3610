import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';

/** The machine's tools the cluster is made with, and the Debian package each comes from. */
const PACKAGES = {
  sh: 'dash',
  env: 'coreutils',
  chroot: 'coreutils',
  sleep: 'coreutils',
  mount: 'mount',
  umount: 'mount',
  unshare: 'util-linux',
  nsenter: 'util-linux',
  setpriv: 'util-linux',
  flock: 'util-linux',
  ip: 'iproute2',
  openssl: 'openssl',
  hostname: 'hostname',
} as const;

/** Absolute paths: processes in containers get a PATH of their own. */
export type Commands = Record<keyof typeof PACKAGES, string>;

/** @throws Error naming every missing command and its package, or the operating system when it isn't Linux. */
export function findCommands(): Commands {
  if (process.platform !== 'linux')
    throw new Error(`the local cluster needs Linux namespaces, and this is ${process.platform}`);
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
  const found: Partial<Commands> = {};
  const missing: string[] = [];
  for (const name of Object.keys(PACKAGES) as (keyof Commands)[]) {
    const path = folders
      .map((folder) => join(folder, name))
      .find((path) => path.startsWith('/') && runs(path));
    if (path) found[name] = path;
    else missing.push(`${name} (package ${PACKAGES[name]})`);
  }
  if (missing.length > 0) throw new Error(`the local cluster needs ${missing.join(', ')}: please install`);
  return found as Commands;
}

function runs(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
