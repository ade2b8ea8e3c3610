import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { test, type TestContext } from 'node:test';

import { PROGRAMS } from '../../local/images/build.ts';
import { temporaryDirectory } from '../e2e/relay/traffic.ts';

const ROOT = join(import.meta.dirname, '../..');

/** Of a RUN of a Dockerfile, its commands from the one that matches to the next `&&` that isn't its own. */
function commandOf(program: string, pattern: RegExp): string {
  const text = readFileSync(join(ROOT, `Dockerfile.${program}`), 'utf8').replaceAll('\\\n', ' ');
  const found = pattern.exec(text)?.[0];
  assert.ok(found, `Dockerfile.${program} has no ${pattern}`);
  return found;
}

function shell(command: string, directory: string, node: string): { status: number | null; stderr: string } {
  return spawnSync('sh', ['-euc', command], {
    cwd: directory,
    env: { PATH: `${dirname(node)}:${process.env['PATH']}` },
    encoding: 'utf8',
  });
}

/** A `node` that does this instead. */
function standIn(context: TestContext, script: string): string {
  const file = join(temporaryDirectory(context), 'node');
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return file;
}

test('the relay’s image keeps koffi’s build for the libc of its base, and no other', (context) => {
  const command = commandOf('relay', /other=\$\(node .*?\) +&& rm -rf \S+/);
  // What node says of itself where there is no glibc.
  const musl = standIn(context, `echo linux`);
  for (const [node, left] of [
    [process.execPath, 'linux_arm64'],
    [musl, 'musl_arm64'],
  ] as const) {
    const directory = temporaryDirectory(context);
    const koffi = join(directory, 'node_modules/@koromix/koffi-linux-arm64');
    for (const build of ['linux_arm64', 'musl_arm64']) mkdirSync(join(koffi, build), { recursive: true });
    writeFileSync(join(koffi, 'index.js'), '');
    assert.equal(shell(command, directory, node).status, 0);
    assert.deepEqual(readdirSync(koffi).toSorted(), ['index.js', left]);
  }
});

for (const program of PROGRAMS)
  test(`an image of the ${program} that can't be warmed is built all the same, and says so`, (context) => {
    const command = commandOf(program, /NODE_ENV=production .*warm-.*/);
    for (const script of ['exit 1', 'kill -SEGV $$']) {
      const { status, stderr } = shell(command, ROOT, standIn(context, script));
      assert.equal(status, 0);
      assert.match(stderr, /^WARNING: this image has no full compile cache/m);
    }
    const warmed = shell(command, ROOT, standIn(context, 'exit 0'));
    assert.deepEqual([warmed.status, warmed.stderr], [0, '']);
  });

test('the relay is warmed with what works where it is built', (context) => {
  const app = temporaryDirectory(context);
  for (const folder of ['images', 'relay']) mkdirSync(join(app, folder));
  for (const file of ['preload.mjs', 'warm-relay.ts'])
    copyFileSync(join(ROOT, 'local/images/rootfs', file), join(app, 'images', file));
  const warm = (works: string): { status: number | null; stdout: string } => {
    writeFileSync(
      join(app, 'relay/main.ts'),
      `import { createServer } from 'node:http';
if (!process.argv.join(' ').includes(${JSON.stringify(works)})) process.exit(1);
const server = createServer((_, response) => response.end()).listen(0, '127.0.0.1', () => {
  console.log('relay health endpoint listening on http://127.0.0.1:' + server.address().port);
  console.log('Relay listening on 127.0.0.1:1 ' + process.argv.slice(-2).join(' '));
});
process.on('SIGTERM', () => process.exit(0));
`,
    );
    return spawnSync(process.execPath, [join(app, 'images/warm-relay.ts')], { encoding: 'utf8' });
  };
  for (const [works, flags] of [
    ['--datapath=mmsg', '--datapath=mmsg --workers=2'],
    ['--workers=1', '--datapath=mmsg --workers=1'],
    ['--datapath=dgram', '--datapath=dgram --workers=1'],
  ] as const) {
    const { status, stdout } = warm(works);
    assert.equal(status, 0);
    assert.ok(stdout.trimEnd().endsWith(flags), stdout);
  }
  assert.equal(warm('--no-such-flag').status, 1);
});
