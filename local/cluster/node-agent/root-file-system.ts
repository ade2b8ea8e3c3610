import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { makeReadOnly } from '../kernel.ts';

/**
 * What containers see as `/`: the machine's own file system, read-only, with a /proc and a /tmp of their own. Its
 * folders are bind mounts on a tmpfs, made once; each container takes a private copy of those mounts.
 *
 * A mount point that the machine hasn't got (`/etc/wavry/keys`) can't be made in a read-only folder. So that top folder
 * is then covered by a *skeleton*: the mount points as real folders, and all else as symlinks to the machine's, which
 * is at `/.host` too.
 */
export class RootFileSystem {
  readonly path: string;
  readonly #skeletons: string;
  readonly #writable: string;
  readonly #mount: string;

  /** Runs in a mount namespace of its own. */
  constructor(directory: string, mount: string) {
    this.path = join(directory, 'root');
    this.#writable = join(directory, 'root-writable');
    this.#skeletons = join(directory, 'skeletons');
    this.#mount = mount;
  }

  async setUp(): Promise<void> {
    for (const folder of [this.path, this.#writable, this.#skeletons]) mkdirSync(folder, { recursive: true });
    await run(this.#mount, ['-t', 'tmpfs', '-o', 'mode=755', 'root', this.#writable]);
    mkdirSync(join(this.#writable, '.host'));
    for (const name of readdirSync('/')) {
      const source = join('/', name);
      const target = join(this.#writable, name);
      const kind = lstatSync(source);
      if (kind.isSymbolicLink()) symlinkSync(readlinkSync(source), target);
      else if (kind.isDirectory()) mkdirSync(target);
    }
    for (const name of OWN) mkdirSync(join(this.#writable, name), { recursive: true });
    await run(this.#mount, ['--bind', this.#writable, this.path]);
    await run(this.#mount, ['--rbind', '/', join(this.path, '.host')]);
    for (const name of readdirSync('/'))
      if (!OWN.includes(name) && lstatSync(join('/', name)).isDirectory())
        await run(this.#mount, ['--rbind', join('/', name), join(this.path, name)]);
    makeReadOnly(this.path);
  }

  /**
   * Where to mount for those mount points: covers (skeleton over a top folder of the root), and for each mount point
   * the path below `path` it has there.
   */
  arrange(mountPoints: readonly { target: string; isFolder: boolean }[]): {
    covers: Cover[];
    points: string[];
  } {
    const resolved = mountPoints.map(({ target, isFolder }) => ({ path: resolve(target), isFolder }));
    const tops = Map.groupBy(resolved, ({ path }) => path.split('/')[1]!);
    const covers: Cover[] = [];
    for (const [top, points] of tops) {
      if (points.every(({ path }) => existsSync(path))) continue;
      const tree: Tree = new Map();
      for (const { path, isFolder } of points) insert(tree, path.split('/').slice(2), isFolder);
      // One shared by all containers with these mount points: nothing is ever written to it.
      const name = createHash('sha256')
        .update(JSON.stringify(points.toSorted(byPath)))
        .digest('hex')
        .slice(0, 16);
      const source = join(this.#skeletons, name);
      if (!existsSync(source)) {
        mkdirSync(join(this.#writable, top), { recursive: true });
        makeSkeleton(tree, source, join('/', top));
      }
      if (tree.size > 0) covers.push({ source, target: join(this.path, top) });
    }
    return { covers, points: resolved.map(({ path }) => join(this.path, path)) };
  }
}

export interface Cover {
  source: string;
  target: string;
}

/** Top folders that aren't the machine's. */
const OWN = ['proc', 'tmp', '.host'];

const run = promisify(execFile);

/** A folder with mount points somewhere below, or a mount point. */
type Tree = Map<string, Tree | 'folder' | 'file'>;

function insert(tree: Tree, path: string[], isFolder: boolean): void {
  const [name, ...rest] = path;
  if (name === undefined) return;
  if (rest.length === 0) {
    if (!tree.has(name)) tree.set(name, isFolder ? 'folder' : 'file');
    return;
  }
  const known = tree.get(name);
  const below: Tree = known instanceof Map ? known : new Map();
  tree.set(name, below);
  insert(below, rest, isFolder);
}

function makeSkeleton(tree: Tree, target: string, machine: string): void {
  mkdirSync(target, { recursive: true });
  if (existsSync(machine))
    for (const name of readdirSync(machine))
      if (!tree.has(name)) symlinkSync(join('/.host', machine, name), join(target, name));
  for (const [name, below] of tree) {
    const path = join(target, name);
    if (below === 'folder') mkdirSync(path);
    else if (below === 'file') writeFileSync(path, '');
    else makeSkeleton(below, path, join(machine, name));
  }
}

/** The path with the machine's symlinks resolved as far as it exists: /var/run/x is /run/x. */
function resolve(path: string): string {
  if (existsSync(path)) return realpathSync(path);
  const parent = dirname(path);
  return parent === path ? path : join(resolve(parent), basename(path));
}

function byPath(a: { path: string }, b: { path: string }): number {
  return a.path < b.path ? -1 : 1;
}

/** Whether a volume's source is a folder, as its mount point must be the same. */
export function isFolder(path: string): boolean {
  return statSync(path).isDirectory();
}
