import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { productionPackages, readLock } from './packages.ts';
import { run } from './programs.ts';

/** `npm run sbom`: a CycloneDX file for each image, of the packages that it is made from. */
const { values } = parseArgs({ options: { directory: { type: 'string', default: 'sbom' } } });
mkdirSync(values.directory, { recursive: true });
for (const workspace of ['relay', 'operator']) {
  const file = join(values.directory, `wavry-${workspace}.cdx.json`);
  writeFileSync(file, `${await sbom(workspace)}\n`);
  console.log(file);
}

/** Made by npm, from a project that is the workspace alone. */
async function sbom(workspace: string): Promise<string> {
  const temporary = mkdtempSync(join(tmpdir(), 'wavryrelay-sbom-'));
  const project = join(temporary, `wavry-${workspace}`);
  try {
    const { packages, ...lock } = readLock();
    const paths = productionPackages(packages, workspace);
    const nested = paths.filter((path) => path.startsWith(`${workspace}/`));
    if (nested.length > 0)
      throw new Error(`${nested.join(', ')}: not at the top of the tree, which is not provided for`);
    const own = Object.fromEntries(paths.map((path) => [path, packages[path]]));
    mkdirSync(project);
    writeFileSync(join(project, 'package.json'), readFileSync(join(workspace, 'package.json')));
    writeFileSync(
      join(project, 'package-lock.json'),
      JSON.stringify({ ...lock, packages: { '': packages[workspace], ...own } }),
    );
    return await run('npm', [
      'sbom',
      '--prefix',
      project,
      '--sbom-format=cyclonedx',
      '--package-lock-only',
      '--silent',
    ]);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}
