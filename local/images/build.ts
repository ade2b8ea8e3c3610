import { appendFileSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';

import { baseImage } from './base.ts';
import { requirePrograms, run } from './programs.ts';

export const PROGRAMS = ['relay', 'operator'] as const;
export type Program = (typeof PROGRAMS)[number];

export interface BuiltImages {
  readonly base: string;
  readonly images: Readonly<Record<Program, string>>;
}

/** Stands in all that a build gets from this machine, so that a test can look for it in the images. */
export const MACHINE_MARK = 'wavry-images-setting-of-this-machine';

/**
 * Builds both images over a base made here, from the checkout as it is. What didn't change comes from buildah's cache.
 *
 * @throws ImagesUnavailableError where the programs for it are missing
 */
export async function buildImages(onLine: (line: string) => void = () => {}): Promise<BuiltImages> {
  await requirePrograms();
  const base = await baseImage(onLine);
  const root = join(import.meta.dirname, '../..');
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const secrets = mkdtempSync(join(tmpdir(), 'wavryrelay-build-'));
  try {
    const given = await machineSettings(secrets);
    const build = async (program: Program): Promise<string> => {
      const name = `localhost/wavry-${program === 'relay' ? 'relay' : 'relay-operator'}:${version}`;
      const file = join(root, `Dockerfile.${program}`);
      await run(
        'buildah',
        [
          'bud',
          '--layers',
          '--format=docker',
          '--isolation=chroot',
          '--pull-never',
          `--build-arg=NODE_IMAGE=${base}`,
          `--build-arg=VERSION=${version}`,
          ...given,
          `--file=${file}`,
          `--tag=${name}`,
          root,
        ],
        onLine,
      );
      return name;
    };
    return { base, images: { relay: await build('relay'), operator: await build('operator') } };
  } finally {
    rmSync(secrets, { recursive: true, force: true });
  }
}

/** Where packages come from on this machine, as secrets of the build: no layer holds them. */
async function machineSettings(directory: string): Promise<string[]> {
  const npmrc = join(directory, 'npmrc');
  const registry = (await run('npm', ['config', 'get', 'registry', '--silent'])).split('\n').at(-1)!;
  writeFileSync(npmrc, `; ${MACHINE_MARK}\nregistry=${registry}\n`);
  const bundle = process.env['NODE_EXTRA_CA_CERTS'] ?? process.env['SSL_CERT_FILE'];
  if (bundle === undefined) return ['--secret', `id=npmrc,src=${npmrc}`];
  const ca = join(directory, 'ca');
  copyFileSync(bundle, ca);
  appendFileSync(ca, `# ${MACHINE_MARK}\n`);
  appendFileSync(npmrc, 'cafile=/run/secrets/ca\n');
  return ['--secret', `id=npmrc,src=${npmrc}`, '--secret', `id=ca,src=${ca}`];
}
