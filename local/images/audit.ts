import { execFile } from 'node:child_process';
import process from 'node:process';

/** What `npm audit --json` prints, as far as it matters here: https://docs.npmjs.com/cli/commands/npm-audit */
interface Report {
  readonly vulnerabilities?: Readonly<Record<string, { readonly severity: string }>>;
}

const GRAVE: ReadonlySet<string> = new Set(['high', 'critical']);

/**
 * `npm run audit`: what the registry knows of holes in the packages of the images; exit code 1 when one is high or critical. A
 * registry that can't tell is no failure, but no clean bill either.
 */
const { vulnerabilities } = await report();
if (vulnerabilities === undefined)
  console.error('NOT AUDITED: the registry answers no "npm audit"; nothing is known of vulnerabilities');
else {
  const found = Object.entries(vulnerabilities).map(([name, { severity }]) => `${name} (${severity})`);
  if (found.length === 0) console.log('no known vulnerabilities in the packages of the images');
  else
    console.error(
      `VULNERABLE packages in the images: ${found.toSorted().join(', ')}: see "npm audit --omit=dev"`,
    );
  if (Object.values(vulnerabilities).some(({ severity }) => GRAVE.has(severity))) process.exitCode = 1;
}

/** Its exit code says whether it found anything, not whether it could look. */
async function report(): Promise<Report> {
  const args = ['audit', '--omit=dev', '--json', '--workspace=relay', '--workspace=operator'];
  const text = await new Promise<string>((resolve) => {
    execFile('npm', args, { maxBuffer: 2 ** 26, timeout: 120_000 }, (_error, stdout) => resolve(stdout));
  });
  try {
    return JSON.parse(text) as Report;
  } catch {
    return {};
  }
}
