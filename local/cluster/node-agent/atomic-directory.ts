import { existsSync } from 'node:fs';
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readlink,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';

export interface VolumeFile {
  content: Buffer;
  mode: number;
}

/**
 * Makes a directory hold exactly those files, all changing at one moment: they live in a folder named by its time, the
 * symlink `..data` points there, and each visible name is a symlink through `..data`, which is swapped by a rename.
 * Paths may have folders in them.
 *
 * Source: kubernetes pkg/volume/util/atomic_writer.go, whose order of steps this keeps.
 */
export async function writeAtomically(
  directory: string,
  files: ReadonlyMap<string, VolumeFile>,
): Promise<void> {
  await mkdir(directory, { recursive: true });
  const data = join(directory, '..data');
  const old = existsSync(data) ? await readlink(data) : undefined;
  const wanted = new Set([...files.keys()].map((path) => path.split('/')[0]!));

  const time = new Date().toISOString().replaceAll(/[-:]/g, '_').replace('T', '_').slice(0, 19);
  const fresh = await mkdtemp(join(directory, `..${time}.`));
  // mkdtemp makes it 0700, which would lock out a process of another user.
  await chmod(fresh, 0o755);
  for (const [path, file] of files) {
    const target = join(fresh, path);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, file.content);
    await chmod(target, file.mode);
  }
  const next = join(directory, '..data_tmp');
  await rm(next, { force: true });
  await symlink(fresh.slice(directory.length + 1), next);
  await rename(next, data);

  const present = new Set((await readdir(directory)).filter((name) => !name.startsWith('..')));
  for (const name of wanted.difference(present)) await symlink(join('..data', name), join(directory, name));
  for (const name of present.difference(wanted))
    if ((await lstat(join(directory, name))).isSymbolicLink()) await rm(join(directory, name));
  if (old) await rm(join(directory, old), { recursive: true, force: true });
}
