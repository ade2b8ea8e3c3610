import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { test } from 'node:test';

const ROOT = join(import.meta.dirname, '../../..');

test('packed and installed below node_modules, where Node strips no types, the plugin runs', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kubectl-wavry-'));
  try {
    const args = ['pack', '--json', '--workspace=operator', `--pack-destination=${folder}`];
    const [packed] = JSON.parse(
      execFileSync('npm', args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'ignore'] }).toString(),
    ) as {
      filename: string;
    }[];
    const modules = join(folder, 'lib/node_modules');
    const home = join(modules, '@wavry/operator');
    mkdirSync(home, { recursive: true });
    for (const name of readdirSync(join(ROOT, 'node_modules'))) {
      if (name !== '@wavry' && !name.startsWith('.'))
        symlinkSync(join(ROOT, 'node_modules', name), join(modules, name));
    }
    execFileSync('tar', ['-xzf', join(folder, packed!.filename), '-C', home, '--strip-components=1']);

    const run = (program: string, ...args: string[]): string =>
      quiet(spawnSync(process.execPath, [join(home, 'kubectl/bin', program), ...args]));
    assert.match(run('kubectl-wavry.js', 'version'), /^\d+\.\d+\.\d+\n$/);
    assert.match(run('kubectl_complete-wavry.js', 'st'), /^status\t/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a Node that is too old is told so in one line', () => {
  const preload = `data:text/javascript,Object.defineProperty(process.versions,'node',{value:'20.1.0'})`;
  const program = join(ROOT, 'operator/kubectl/bin/kubectl-wavry.js');
  const { status, stderr } = spawnSync(process.execPath, ['--import', preload, program, 'status']);
  assert.match(
    stderr.toString(),
    /^error: kubectl wavry needs Node\.js 26 or newer, .*put it first on PATH\n$/,
  );
  assert.equal(status, 1);
  // The real thing, where the machine has one.
  const system = '/usr/bin/node';
  if (!existsSync(system)) return;
  const major = Number(execFileSync(system, ['--version']).toString().slice(1).split('.')[0]);
  if (major >= 26) return;
  assert.match(spawnSync(system, [program]).stderr.toString(), /^error: kubectl wavry needs Node\.js 26/);
});

function quiet({ stdout, stderr }: { readonly stdout: Buffer; readonly stderr: Buffer }): string {
  assert.equal(stderr.toString(), '');
  return stdout.toString();
}
