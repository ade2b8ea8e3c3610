import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A package as package-lock.json has it. */
export interface LockedPackage {
  readonly version?: string;
  readonly license?: string;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

export type LockedPackages = Readonly<Record<string, LockedPackage>>;

export function readLock(): { readonly packages: LockedPackages } {
  const file = join(import.meta.dirname, '../../package-lock.json');
  return JSON.parse(readFileSync(file, 'utf8')) as { packages: LockedPackages };
}

/** What images are made for; packages for other systems aren't in them. */
const CPUS: readonly string[] = ['x64', 'arm64'];

/**
 * The paths (`node_modules/…`) of all packages that a workspace needs at run time on Linux, found the way Node looks for
 * them. npm's own `sbom --workspace` can't tell: it leaves out what the root needs for development too.
 */
export function productionPackages(packages: LockedPackages, workspace: string): string[] {
  const found = new Set<string>();
  const waiting = [workspace];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const { dependencies, optionalDependencies } = packages[path]!;
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      const target = resolve(packages, path, name);
      if (target === undefined || found.has(target) || !forImages(packages[target]!)) continue;
      found.add(target);
      waiting.push(target);
    }
  }
  return [...found].toSorted();
}

/** Those that the images hold: without the types, which nothing reads at run time. */
export function imagePackages(packages: LockedPackages, workspace: string): string[] {
  return productionPackages(packages, workspace).filter((path) => !path.startsWith('node_modules/@types/'));
}

/** Undefined: an optional one that the lock file hasn't got. */
function resolve(packages: LockedPackages, from: string, name: string): string | undefined {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/')))) {
    const candidate = `${folder === '' ? '' : `${folder}/`}node_modules/${name}`;
    if (packages[candidate]) return candidate;
    if (folder === '') return undefined;
  }
}

function forImages({ os, cpu }: LockedPackage): boolean {
  return (!os || os.includes('linux')) && (!cpu || cpu.some((name) => CPUS.includes(name)));
}
