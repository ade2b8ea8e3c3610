import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmodSync, createReadStream, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { before, suite, test } from 'node:test';

import { startCluster } from '../../local/cluster/cluster.ts';
import { freePort } from '../../local/demo/free-port.ts';
import { buildImages, type BuiltImages, MACHINE_MARK, PROGRAMS } from '../../local/images/build.ts';
import { type Container, HARDENED, imageConfig } from '../../local/images/container.ts';
import { imagePackages, readLock } from '../../local/images/packages.ts';
import { run } from '../../local/images/programs.ts';
import { watchRelay } from '../e2e/relay/relay-process.ts';
import {
  balancedMetrics,
  devMaster,
  received,
  stopWithoutLoss,
  talking,
  temporaryDirectory,
} from '../e2e/relay/traffic.ts';
import { commandBlocks } from '../docs/markdown.ts';
import { ARBITRARY_USER, container, LOOPBACK, outcome, relayContainer } from './containers.ts';

const ROOT = join(import.meta.dirname, '../..');
const USERS = { 'its own user': [], 'an arbitrary user': [ARBITRARY_USER] };

/** Both images, built from this checkout over a base made here, under a real OCI runtime. */
suite('the images', { concurrency: 2, timeout: 900_000 }, () => {
  let built: BuiltImages;
  before(
    async () => {
      built = await buildImages();
    },
    { timeout: 900_000 },
  );

  // Ports below those that the kernel gives to others until they are used.
  for (const [index, [user, options]] of Object.entries(USERS).entries()) {
    test(`the relay forwards on a read-only root as ${user}, and SIGTERM drains it`, async (context) => {
      const master = await devMaster(context);
      const health = `--health-listen=127.0.0.1:${await freePort('tcp', 21_000 + index)}`;
      const relay = relayContainer(
        context,
        built.images.relay,
        ['--master-url', master.url, health, '--idle-timeout', '8'],
        options,
      );
      await relay.ready();
      const peers = talking(context, master, 3);
      await received(peers, 100);
      assert.match(await checkHealth(built.images.relay, relay.container), /answers 200$/);
      const status = readFileSync(`/proc/${await relay.container.pid()}/status`, 'utf8');
      assert.match(status, /^CapEff:\t0+$/m);
      assert.match(status, user === 'an arbitrary user' ? /^Uid:\t1000660000\t/m : /^Uid:\t65532\t/m);

      relay.signal('SIGTERM');
      await relay.line(/SIGTERM: draining 3 sessions/);
      await received(peers, 50);
      await balancedMetrics(relay);
      await stopWithoutLoss(peers);
      assert.deepEqual(await relay.ended, { code: 0, signal: null });
    });
  }

  test('an idle relay ends with exit code 0 on SIGTERM, as PID 1 and without a shell', async (context) => {
    const relay = relayContainer(context, built.images.relay, []);
    await relay.address();
    assert.match(
      await relay.container.exec('cat', '/proc/1/cmdline'),
      /^node\0--import\0\/app\/images\/preload/,
    );
    relay.signal('SIGTERM');
    assert.deepEqual(await relay.ended, { code: 0, signal: null });
  });

  test('PID 1 ends on a SIGTERM that comes before the program listens for it', async (context) => {
    const started = container(context, built.images.relay, {
      options: [
        ...HARDENED,
        '--entrypoint=["node","--import","/app/images/preload.mjs","-e","console.log(1);setInterval(()=>{},1e6)"]',
      ],
    });
    await new Promise((resolve) => started.child.stdout!.once('data', resolve));
    const ended = new Promise((resolve) => started.child.once('exit', resolve));
    await started.signal('SIGTERM');
    assert.equal(await ended, 128 + 15);
  });

  for (const program of PROGRAMS)
    for (const [user, options] of Object.entries(USERS))
      test(`the ${program} finds all its sources compiled as ${user}`, async (context) => {
        const { lines } = await outcome(context, built.images[program], {
          options: [...HARDENED, ...options, '--env=NODE_DEBUG_NATIVE=COMPILE_CACHE'],
          args: ['--help'],
        });
        const sources = lines.filter((line) =>
          /retrieving transpile cache for StrippedTypeScript/.test(line),
        );
        assert.ok(sources.length > 20, `only ${sources.length}:\n${lines.join('\n').slice(0, 3000)}`);
        assert.deepEqual(
          sources.filter((line) => !line.endsWith('...success')),
          [],
        );
      });

  test("the guide's docker run line, and that of docs/migration.md", async (context) => {
    const [bridge] = JSON.parse(await run('podman', ['network', 'inspect', 'podman'])) as [
      { subnets: [{ gateway: string }] },
    ];
    const host = bridge.subnets[0].gateway;
    const udp = await freePort('udp', 21_010);
    const tcp = await freePort('tcp', 21_010);
    // As printed, but for the detached start, the name, ports of this machine, and whom it should register with.
    const printed = (masterUrl: string, key: string): string[] =>
      `-p ${udp}:4000/udp -p ${tcp}:9091/tcp -e WAVRY_MASTER_URL=${masterUrl} -e WAVRY_RELAY_ALLOW_PUBLIC_BIND=1 -e WAVRY_RELAY_MASTER_PUBLIC_KEY=${key} -e WAVRY_RELAY_MAX_BITRATE=20000 -e WAVRY_RELAY_REGION=us-east-1`.split(
        ' ',
      );

    // The bridge has its address once a container is on it, and Master listens there.
    const elsewhere = await devMaster(context);
    const first = container(context, built.images.relay, {
      options: printed(elsewhere.url, elsewhere.publicKeyHex),
    });
    const incomplete = watchRelay(first.child);
    assert.match(await incomplete.line(/WAVRY_RELAY_ADVERTISE|--advertise/), / WARN .*--advertise/);
    const health = (path: string): Promise<Response> => fetch(`http://127.0.0.1:${tcp}${path}`);
    assert.equal((await health('/health')).status, 200);
    const answer = await health('/ready');
    assert.equal(answer.status, 503);
    assert.match(await answer.text(), /--advertise/);
    const master = await devMaster(context, { listen: `${host}:0` });
    incomplete.signal('SIGTERM');
    assert.equal((await incomplete.ended).code, 0);

    const second = container(context, built.images.relay, {
      options: migrationLine({
        '4001:4000/udp': `${udp}:4000/udp`,
        '9092:9091/tcp': `${tcp}:9091/tcp`,
        'https://master.wavry.dev': master.url,
        '<master_public_key_hex>': master.publicKeyHex,
        '203.0.113.7:4001': `${host}:${udp}`,
      }),
      args: ['--max-sessions', '7'],
    });
    const relay = watchRelay(second.child);
    await relay.line(/Registered with Master/);
    const peers = talking(context, master, 2);
    await received(peers, 100);
    await stopWithoutLoss(peers);
    const said = (await (await health('/health')).json()) as Record<string, unknown>;
    assert.deepEqual([said['active_sessions'], said['max_sessions']], [2, 7]);
    assert.equal((await health('/ready')).status, 200);
  });

  test('without its variables each says in one line what is missing', async (context) => {
    const relay = await outcome(context, built.images.relay, { options: ['--network=none'] });
    assert.equal(relay.lines.length, 1, relay.lines.join('\n'));
    assert.match(relay.lines[0]!, /^wavry-relay: .*WAVRY_RELAY_ALLOW_PUBLIC_BIND/);
    assert.equal(relay.code, 64);

    const operator = await outcome(context, built.images.operator, { options: ['--network=none'] });
    assert.equal(operator.lines.length, 1, operator.lines.join('\n'));
    assert.match(operator.lines[0]!, /no cluster is configured; give --kubeconfig/);
    assert.equal(operator.code, 1);

    // What "helm test" runs.
    const check = await outcome(context, built.images.operator, {
      options: [...HARDENED, ARBITRARY_USER],
      args: ['check', '--custom-metrics'],
    });
    assert.deepEqual(check.lines, [
      'wavry-relay-operator check: no cluster is configured; give --kubeconfig, or run the operator in a cluster',
    ]);
    assert.equal(check.code, 1);
  });

  for (const [user, options] of Object.entries(USERS))
    test(`the relay as ${user} keeps who it is in a named volume`, async (context) => {
      const volume = `wavryrelay-${randomBytes(6).toString('hex')}`;
      const mount = [
        ...options,
        `--volume=${volume}:/var/lib/wavry`,
        '--env=WAVRY_RELAY_STATE_DIR=/var/lib/wavry',
      ];
      context.after(() => run('podman', ['volume', 'rm', '--force', volume]));
      const ids: unknown[] = [];
      for (let start = 0; start < 2; start++) {
        const relay = relayContainer(context, built.images.relay, [], mount);
        // Before it listens it answers without having looked who it is.
        await relay.address();
        ids.push((await relay.json('/health'))['relay_id']);
        relay.signal('SIGTERM');
        assert.equal((await relay.ended).code, 0);
      }
      assert.equal(typeof ids[0], 'string');
      assert.equal(ids[0], ids[1]);
    });

  // podman gives a new volume the container's user whatever the image has; docker goes by the image.
  test('the place for a named volume belongs to its own user, and to the group of users without a name', async (context) => {
    const { lines } = await outcome(context, built.images.relay, {
      options: ['--network=none', '--entrypoint=["stat","--format=%u:%g %a","/var/lib","/var/lib/wavry"]'],
    });
    assert.deepEqual(lines, ['0:0 755', '65532:0 770']);
  });

  test('a state directory that it may not write to is refused in one line that says what to do', async (context) => {
    const directory = temporaryDirectory(context);
    chmodSync(directory, 0o755);
    for (const [mount, line] of [
      [[], /EROFS.*; the file system is read-only there: mount a volume \(docker run -v,/],
      [[`--volume=${directory}:/var/lib/wavry`], /EACCES.*; user 65532 may not write there: make that user/],
    ] as const) {
      const { lines, code } = await outcome(context, built.images.relay, {
        options: [...HARDENED, ...LOOPBACK, ...mount, '--env=WAVRY_RELAY_STATE_DIR=/var/lib/wavry'],
      });
      assert.equal(code, 1);
      const errors = lines.filter((line) => !/ INFO /.test(line));
      assert.equal(errors.length, 1, lines.join('\n'));
      assert.match(errors[0]!, /^wavry-relay: --state-dir \/var\/lib\/wavry can't be used: /);
      assert.match(errors[0]!, line);
    }
  });

  for (const program of PROGRAMS)
    test(`the ${program} refuses less memory than it needs, in one line`, async (context) => {
      const image = built.images[program];
      const { lines, code } = await outcome(context, image, { options: [...HARDENED, '--memory=64m'] });
      assert.deepEqual([lines.length, code], [1, 64], lines.join('\n'));
      assert.match(lines[0]!, /^wavry-relay\S*: the container's memory limit is 64 MiB .* raise it/);
    });

  test('the relay refuses more workers than fit into its memory, in one line', async (context) => {
    const { lines, code } = await outcome(context, built.images.relay, {
      options: [...HARDENED, ...LOOPBACK, '--memory=140m'],
      args: ['--workers=4'],
    });
    assert.deepEqual([lines.length, code], [1, 64], lines.join('\n'));
    assert.match(
      lines[0]!,
      /^wavry-relay: .* limit is 140 MiB and 4 workers need at least 194 MiB: raise it/,
    );
  });

  test('the image says what it is', async () => {
    for (const [program, image] of Object.entries(built.images)) {
      const { User, Entrypoint, Labels } = await imageConfig(image);
      assert.match(User, /^[1-9]\d*:[1-9]\d*$/, 'a numeric user, so that runAsNonRoot can tell');
      assert.equal(Entrypoint[0], 'node');
      assert.equal(Labels['org.opencontainers.image.version'], version());
      assert.equal(Labels['org.opencontainers.image.licenses'], 'Apache-2.0');
      assert.match(Labels['org.opencontainers.image.title']!, new RegExp(program));
    }
  });

  for (const program of PROGRAMS)
    test(`the ${program}'s image holds its sources and the packages of its workspace, and no second node`, async (context) => {
      const { lines } = await outcome(context, built.images[program], {
        options: [
          '--network=none',
          '--entrypoint=["find","/app","-type","f","-not","-path","*/compile-cache/*"]',
        ],
      });
      const files = lines.map((line) => line.slice('/app/'.length));
      const packages = files
        .map((file) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/package\.json$)/.exec(file)?.[0])
        .filter((path) => path !== undefined);
      const { packages: locked } = readLock();
      const wanted = imagePackages(locked, program).filter(
        (path) => locked[path]!.cpu?.includes(process.arch) ?? true,
      );
      assert.deepEqual(packages.toSorted(), wanted);

      const own = files.filter((file) => !file.startsWith('node_modules/'));
      assert.deepEqual(own.filter((file) => !file.startsWith(`${program}/`)).toSorted(), [
        'LICENSE',
        'images/check-health.mjs',
        'images/preload.mjs',
      ]);
      assert.ok(own.includes(`${program}/main.ts`));
      const unwanted = /musl|\/bin\/node$|\.d\.ts$|\.map$/;
      assert.deepEqual(
        files.filter((file) => unwanted.test(file)),
        [],
      );
    });

  test('nothing of this machine is in any layer', async (context) => {
    const directory = temporaryDirectory(context);
    // A tar header begins with the name, behind the padding of the file before it.
    const member = (name: string): string => `\0${name}\0`;
    const machineFiles = [
      'etc/hostname',
      'etc/resolv.conf',
      'etc/apt/sources.list',
      'root/.npmrc',
      'run/secrets/npmrc',
    ].map(member);
    const found = ['"name": "@wavry/', member('etc/passwd')];
    for (const image of Object.values(built.images)) {
      const archive = join(directory, 'image.tar');
      await run('podman', ['save', '--quiet', '--format=docker-archive', `--output=${archive}`, image]);
      assert.deepEqual(await textsIn(archive, found), found, 'the search finds what is there');
      assert.deepEqual(await textsIn(archive, [MACHINE_MARK, ROOT, ...machineFiles]), []);
      rmSync(archive);
    }
  });

  test('the operator leads a real cluster, and SIGTERM gives its lease up', async (context) => {
    const cluster = await startCluster({ nodes: 0 });
    context.after(() => cluster.stop());
    await cluster.kubectl(['apply', '-f', join(ROOT, 'crds/wavryrelays.wavry.dev.yaml')]);
    const kubeconfig = join(temporaryDirectory(context), 'kubeconfig');
    writeFileSync(kubeconfig, readFileSync(cluster.kubeconfig));
    chmodSync(dirname(kubeconfig), 0o755);
    const listen = `127.0.0.1:${await freePort('tcp', 21_011)}`;
    const operator = container(context, built.images.operator, {
      options: [...HARDENED, ARBITRARY_USER, `--volume=${kubeconfig}:/kubeconfig:ro`],
      args: [
        '--kubeconfig=/kubeconfig',
        `--listen=${listen}`,
        '--lease-namespace=default',
        '--log-format=text',
      ],
    });
    const watched = watchRelay(operator.child);
    await watched.line(/ leading$/);
    assert.match(await checkHealth(built.images.operator, operator), /\/healthz answers 200$/);
    assert.equal((await fetch(`http://${listen}/readyz`)).status, 200);
    watched.signal('SIGTERM');
    assert.deepEqual(await watched.ended, { code: 0, signal: null });
    const lease = ['get', 'lease', 'wavry-relay-operator', '--namespace=default'];
    assert.equal(await cluster.kubectl([...lease, '--output=jsonpath={.spec.holderIdentity}']), '');
  });
});

/**
 * Options of the `docker run` of docs/migration.md with what differs on this machine. A container of the tests is in the
 * foreground, has a name of its own and is removed, which podman refuses together with `--restart`.
 */
function migrationLine(changes: Readonly<Record<string, string>>): string[] {
  const page = readFileSync(join(ROOT, 'docs/migration.md'), 'utf8');
  let text = commandBlocks(page)[0]!.text.replaceAll('\\\n', ' ');
  for (const [printed, here] of Object.entries({
    'docker run -d': '',
    '--name wavry-relay-2': '',
    '--restart unless-stopped': '',
    ...changes,
  })) {
    assert.ok(text.includes(printed), `${printed} is not in ${text}`);
    text = text.replace(printed, here);
  }
  const words = text.trim().split(/\s+/);
  assert.match(words.pop()!, /^registry\.example\.com\/wavry\/wavry-relay:/);
  return words;
}

/** Which of the texts stand somewhere in the file. Layers of such an archive are tar files, not compressed. */
async function textsIn(file: string, texts: readonly string[]): Promise<string[]> {
  const left = new Set(texts);
  const longest = Math.max(...texts.map((text) => Buffer.byteLength(text)));
  let rest = Buffer.alloc(0);
  for await (const chunk of createReadStream(file, { highWaterMark: 2 ** 24 }) as AsyncIterable<Buffer>) {
    const window = Buffer.concat([rest, chunk]);
    for (const text of left) if (window.includes(text)) left.delete(text);
    rest = window.subarray(-longest);
  }
  return texts.filter((text) => !left.has(text));
}

/** The image's HEALTHCHECK, as docker runs it. */
async function checkHealth(image: string, running: Container): Promise<string> {
  const { Healthcheck } = await imageConfig(image);
  const [kind, ...command] = Healthcheck!.Test;
  assert.equal(kind, 'CMD', 'no shell');
  return running.exec(...command);
}

function version(): string {
  const text = readFileSync(join(ROOT, 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
