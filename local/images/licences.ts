import { readFileSync, writeFileSync } from 'node:fs';
import process from 'node:process';

import { imagePackages, type LockedPackages, readLock } from './packages.ts';

const FILE = 'docs/third-party-licences.md';
/** Licences that ask for no more than to be passed on with the code, as the images do: packages keep their licence files. */
const ACCEPTED: ReadonlySet<string> = new Set([
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'ISC',
  'MIT',
  'PSF-2.0',
  'Unlicense',
]);

/** The page of third-party packages. @throws Error naming packages whose licence nobody has accepted */
export function licencePage(packages: LockedPackages): string {
  const users = new Map<string, string[]>();
  for (const workspace of ['relay', 'operator'])
    for (const path of imagePackages(packages, workspace))
      users.set(path, [...(users.get(path) ?? []), workspace]);

  const rows = new Set<string>();
  for (const [path, images] of [...users].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const { version, license = 'none' } = packages[path]!;
    const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
    if (!ACCEPTED.has(license))
      throw new Error(
        `${name} ${version} has the licence "${license}": accept it in local/images/licences.ts or do without it`,
      );
    rows.add(`| ${name} | ${version} | ${license} | ${images.join(', ')} |`);
  }
  return `# Third-party packages in the images

Made by "npm run generate" from package-lock.json; don't edit. Each package's own licence text, where it has one, is in the image, in its
folder below \`/app/node_modules\`; Node and the Debian packages come with the base image, with theirs in \`/usr/local\` and \`/usr/share/doc\`.

| package | version | licence | image |
|---|---|---|---|
${[...rows].join('\n')}
`;
}

if (import.meta.main) {
  const page = licencePage(readLock().packages);
  if (!process.argv.includes('--check')) writeFileSync(FILE, page);
  else if (readFileSync(FILE, 'utf8') !== page) {
    console.error(`${FILE} is out of date: run "npm run generate"`);
    process.exitCode = 1;
  }
}
