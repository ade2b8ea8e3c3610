import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';

import { run } from './programs.ts';

/** npm that comes with the base: the official images have one too. */
const NPM = '11.19.1';
/** What node needs beside libc. */
const PACKAGES = 'libstdc++6,libatomic1,ca-certificates';
/** Nothing of this machine: mmdebstrap brings its names and the addresses of its mirror. */
const FORGET =
  'rm -rf "$1"/etc/hostname "$1"/etc/resolv.conf "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/* "$1"/var/log/* "$1"/var/cache/ldconfig/*';

/**
 * The name of a base image like the official `node:…-slim`, made here unless that was done before: this machine's own
 * distribution from the mirror that apt uses, the node that this process runs on, and npm.
 */
export async function baseImage(onLine: (line: string) => void = () => {}): Promise<string> {
  const sources = await distribution();
  const hash = createHash('sha256');
  for (const file of ['base.ts', 'Dockerfile.base'])
    hash.update(readFileSync(join(import.meta.dirname, file)));
  hash.update([process.version, process.arch, ...sources].join('\n'));
  const name = `localhost/wavryrelay-base:${hash.digest('hex').slice(0, 16)}`;
  const exists = await run('buildah', ['inspect', '--type', 'image', name]).then(
    () => true,
    () => false,
  );
  if (exists) return name;

  const directory = mkdtempSync(join(tmpdir(), 'wavryrelay-base-'));
  try {
    await makeArchive(directory, sources, onLine);
    const dockerfile = join(import.meta.dirname, 'Dockerfile.base');
    const context = join(directory, 'context');
    await run('buildah', ['bud', '--isolation', 'chroot', '-f', dockerfile, '-t', name, context], onLine);
    return name;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Lines of sources.list for the distribution itself, without the third parties that the machine may use too. */
async function distribution(): Promise<string[]> {
  const targets = await run('apt-get', [
    'indextargets',
    '--format',
    '$(ORIGIN) deb $(REPO_URI) $(RELEASE) $(COMPONENT)',
    'Identifier: Packages',
  ]);
  const id = /^ID=(\w+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? '';
  const lines = targets
    .split('\n')
    .filter((line) => line.toLowerCase().startsWith(`${id} `) && line.endsWith(' main'))
    .map((line) => line.slice(line.indexOf(' deb ') + 1));
  if (lines.length === 0)
    throw new Error(`apt knows no package lists of ${id || 'this distribution'}: run "apt-get update"`);
  return [...new Set(lines)].toSorted();
}

async function makeArchive(
  directory: string,
  sources: readonly string[],
  onLine: (line: string) => void,
): Promise<void> {
  const local = join(directory, 'local');
  for (const folder of ['bin', 'lib/node_modules/npm']) mkdirSync(join(local, folder), { recursive: true });
  mkdirSync(join(directory, 'context'));
  cpSync(realpathSync(process.execPath), join(local, 'bin/node'));
  const archive = await run('npm', ['pack', `npm@${NPM}`, '--silent', '--pack-destination', directory]);
  const npm = join(local, 'lib/node_modules/npm');
  await run('tar', ['-xzf', join(directory, archive.split('\n').at(-1)!), '--strip-components=1', '-C', npm]);
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(local, 'bin/npm'));
  await run('tar', ['-cf', join(directory, 'local.tar'), '--owner=0', '--group=0', '-C', local, '.']);

  await run(
    'mmdebstrap',
    [
      '--variant=minbase',
      `--include=${PACKAGES}`,
      `--customize-hook=tar-in ${join(directory, 'local.tar')} /usr/local`,
      `--customize-hook=${FORGET}`,
      // The suite comes with the sources.
      '',
      join(directory, 'context/base.tar'),
      ...sources,
    ],
    onLine,
  );
}
