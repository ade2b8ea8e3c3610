import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { after, before, suite, test } from 'node:test';

import { findBinaries } from '../../local/cluster/binaries.ts';
import { ADMIN_TOKEN, example, OperatorCluster, ROOT } from '../e2e/operator/operator-cluster.ts';
import { blockLanguages, type CommandBlock, commandBlocks, pages } from './markdown.ts';

interface Page {
  readonly page: string;
  /** False where the fleet that most pages speak of isn't there yet, or any more. */
  readonly laptop?: false;
  /** What the page leaves behind and the next would stumble on. */
  readonly tidy?: string;
}

/** Pages whose commands are run, on one cluster in this order: the last ones take the operator away. */
const RUN: readonly Page[] = [
  {
    page: 'README.md',
    laptop: false,
    tidy: 'kubectl delete wavryrelays --all && helm uninstall wavry --namespace wavry-system --wait',
  },
  { page: 'docs/quick-start.md', laptop: false },
  { page: 'docs/install.md', tidy: 'helm uninstall eu-west' },
  { page: 'helm/wavry-relay/README.md', tidy: 'helm uninstall eu-west' },
  { page: 'docs/autoscaling.md' },
  // Right behind, as one of them looks into the autoscaler that autoscaling.md asked for.
  { page: 'docs/runbooks.md' },
  { page: 'docs/monitoring.md' },
  { page: 'docs/exposure.md' },
  { page: 'docs/key-rotation.md' },
  { page: 'docs/security.md' },
  { page: 'docs/operations.md' },
  { page: 'docs/grace-periods.md' },
  { page: 'docs/upgrading.md' },
  { page: 'helm/wavry-relay-operator/README.md', laptop: false },
  { page: 'docs/known-limits.md', laptop: false },
];
const PAGE_TIMEOUT_MS = 300_000;
const all = pages();

test('every block names its language', () => {
  for (const [page, text] of all) {
    for (const language of blockLanguages(text))
      assert.ok(['sh', 'text', 'yaml', 'ini', 'json'].includes(language), `${page}: \`\`\`${language}`);
  }
});

test('every command of the documentation is run, or says why it is not', () => {
  const run = new Set(RUN.map(({ page }) => page));
  for (const [page, text] of all) {
    for (const { line, notRun } of commandBlocks(text))
      assert.ok(run.has(page) || notRun !== undefined, `${page}:${line} is neither`);
  }
  for (const page of run) assert.ok(toRun(page).length > 0, `${page} has nothing to run`);
});

suite('the commands of', () => {
  let operator: OperatorCluster;
  let directory: string;
  let env: NodeJS.ProcessEnv;

  before(async () => {
    operator = await OperatorCluster.start();
    const { helm } = await findBinaries(['helm']);
    // A checkout of one's own, so that files which commands write are nobody's business.
    directory = mkdtempSync(join(tmpdir(), 'documentation-'));
    for (const name of readdirSync(ROOT)) symlinkSync(join(ROOT, name), join(directory, name));
    const helmHome = join(operator.cluster.directory, 'helm');
    env = {
      ...process.env,
      KUBECONFIG: operator.cluster.kubeconfig,
      PATH: [
        join(ROOT, 'node_modules/.bin'),
        dirname(operator.cluster.binaries.kubectl),
        dirname(helm),
        process.env['PATH'],
      ].join(':'),
      HELM_CACHE_HOME: join(helmHome, 'cache'),
      HELM_CONFIG_HOME: join(helmHome, 'config'),
      HELM_DATA_HOME: join(helmHome, 'data'),
    };
    await operator.startMaster();
    // That of the examples.
    await operator.apply({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'wavry-master', namespace: 'default' },
      stringData: { token: 'unused', 'admin-token': ADMIN_TOKEN },
    });
  });
  after(async () => {
    await operator.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  for (const { page, laptop, tidy } of RUN) {
    test(page, { timeout: PAGE_TIMEOUT_MS + 60_000 }, async () => {
      if (laptop !== false) await serve();
      await bash(toRun(page).map((block) => scriptOf(page, block)));
      if (page === 'docs/monitoring.md') {
        const dashboard: unknown = JSON.parse(readFileSync(join(directory, 'dashboard.json'), 'utf8'));
        assert.ok((dashboard as { panels: unknown[] }).panels.length > 6);
      }
      if (tidy !== undefined) await bash([tidy]);
    });
  }

  /** The fleet of the quick start, whatever the page before has done with it. */
  async function serve(): Promise<void> {
    await operator.apply(example('laptop'));
    await operator.whenCondition('laptop', 'Ready', { status: 'True' });
  }

  /** @throws Error with what it printed last */
  function bash(script: readonly string[]): Promise<void> {
    const child = spawn('bash', ['-euo', 'pipefail', '-c', script.join('\n')], {
      cwd: directory,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: PAGE_TIMEOUT_MS,
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    return new Promise((resolve, reject) => {
      child.once('close', (code, signal) => {
        if (code === 0) resolve();
        else reject(new Error(`ended with ${code ?? signal}:\n${output.slice(-4000)}`));
      });
    });
  }
});

function toRun(page: string): CommandBlock[] {
  return commandBlocks(all.get(page) ?? '').filter(({ notRun }) => notRun === undefined);
}

/** As printed, in the shell of its page; one that has to fail in a shell of its own, with what it has to say. */
function scriptOf(page: string, { line, text, fails }: CommandBlock): string {
  const heading = `echo '--- ${page}:${line}'`;
  if (fails === undefined) return `${heading}\n${text}`;
  return `${heading}
if said=$({
${text}
} 2>&1); then echo 'it did not fail'; exit 1; fi
grep --fixed-strings -- ${quoted(fails)} <<<"$said" || { echo "$said"; exit 1; }`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
