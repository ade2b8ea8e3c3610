import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { promisify } from 'node:util';

import { startRelay, until } from './relay-process.ts';
import {
  balancedMetrics,
  devMaster,
  received,
  stopWithoutLoss,
  talking,
  temporaryDirectory,
} from './traffic.ts';

/** The commands of the operations guide, as printed there but for host and port, on a relay that forwards. */

const run = promisify(execFile);
const has = (program: string): boolean => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;

async function shell(command: string): Promise<string> {
  const { stdout } = await run('sh', ['-c', command]);
  return stdout.trim();
}

// Each test is mostly waiting for a process of its own.
suite('the operations guide on a running relay', { concurrency: 4 }, () => {
  for (const more of ['', ' --workers 1', ' --workers 3', ' --datapath dgram']) {
    test(`the guide's binary deployment${more} registers, is ready and forwards`, async (context) => {
      const master = await devMaster(context);
      const flags = `--listen 127.0.0.1:0 --master-url ${master.url} --master-public-key ${master.publicKeyHex}`;
      const relay = startRelay(context, `${flags} --max-sessions 100 --region us-east-1${more}`.split(' '));
      await relay.ready();
      assert.match(await relay.line(/Registered with Master/), /^\S+Z INFO Registered with Master/);
      const [entry] = master.relays();
      assert.deepEqual(entry?.endpoints, [await relay.address()]);

      const peers = talking(context, master, 3);
      await received(peers, 100);
      await stopWithoutLoss(peers);

      const metrics = await balancedMetrics(relay);
      assert.equal(metrics['lease_accepted_packets'], 6);
      assert.ok(metrics['packets_forwarded']! >= 100);
      const health = await relay.json('/health');
      assert.deepEqual(
        [
          'relay_id',
          'active_sessions',
          'max_sessions',
          'registered_with_master',
          'state',
          'status',
          'ready',
        ].map((key) => health[key]),
        [entry?.relayId, 3, 100, true, 'serving', 'ok', true],
      );
    });
  }

  test('fault 19: a full relay says session full, counts it, and stays ready', async (context) => {
    const master = await devMaster(context);
    const relay = startRelay(context, ['--master-url', master.url, '--max-sessions', '1']);
    await relay.ready();
    const first = talking(context, master, 1);
    await received(first, 10);
    const second = talking(context, master, 1);
    await until('the refusal', async () =>
      Number((await relay.json('/metrics'))['session_full_rejects']) >= 1 ? true : undefined,
    );
    assert.equal((await relay.get('/ready')).status, 200);
    await second.stop();
    await stopWithoutLoss(first);
    assert.equal((await balancedMetrics(relay))['overload_shed_packets'], 0);
  });

  test("the guide's monitoring and troubleshooting commands", async (context) => {
    const master = await devMaster(context);
    const relay = startRelay(context, ['--master-url', master.url, '--ip-rate-limit-pps', '10'], {
      RUST_LOG: 'debug',
    });
    await relay.ready();
    const peers = talking(context, master, 2);
    await received(peers, 20);
    await stopWithoutLoss(peers);
    await flood(await relay.address());
    await until('the flood to be refused', async () =>
      Number((await relay.json('/metrics'))['rate_limited_packets']) >= 15 ? true : undefined,
    );
    await balancedMetrics(relay);
    const url = await relay.health();
    const address = await relay.address();
    const relayId = (await relay.json('/health'))['relay_id'];

    const wanted: Readonly<Record<string, (output: string) => void>> = {
      'curl http://localhost:9091/health': (output) => {
        const { relay_id, active_sessions, max_sessions, uptime_secs, metrics } = JSON.parse(output);
        assert.deepEqual([relay_id, active_sessions, max_sessions], [relayId, 2, 100]);
        assert.equal(typeof uptime_secs, 'number');
        assert.equal(typeof metrics, 'object');
      },
      'curl http://localhost:9091/ready': (output) => assert.equal(JSON.parse(output).ready, true),
      'curl http://localhost:9091/metrics': (output) => assert.ok(JSON.parse(output).packets_rx > 0),
      'curl http://localhost:9091/metrics/prometheus': (output) => {
        assert.match(output, /^# HELP wavry_relay_packets_rx Total packets received$/m);
        assert.match(output, new RegExp(`^wavry_relay_packets_rx{relay_id="${String(relayId)}"} \\d+$`, 'm'));
      },
      "curl http://localhost:9091/metrics | jq '.dropped_packets'": (output) =>
        assert.ok(Number(output) >= 15),
      "curl http://localhost:9091/metrics | jq '.rate_limited_packets'": (output) =>
        assert.ok(Number(output) >= 15),
      "curl http://localhost:9091/metrics | jq '.invalid_packets'": (output) => assert.match(output, /^\d+$/),
      "curl http://localhost:9091/health | jq '.active_sessions'": (output) => assert.equal(output, '2'),
      "curl http://localhost:9091/metrics | jq '.cleanup_idle_sessions'": (output) =>
        assert.equal(output, '0'),
      "curl http://localhost:9091/health | jq '.endpoints'": (output) =>
        assert.deepEqual(JSON.parse(output), [address]),
      'curl -v https://master.wavry.dev/health': (output) => assert.ok(output.length > 0),
    };
    for (const [printed, check] of Object.entries(wanted)) {
      const command = printed
        .replace('http://localhost:9091', url)
        .replace('https://master.wavry.dev', master.url)
        .replace('curl ', 'curl -s ');
      const [, path, key] = /9091(\/\S+)(?: \| jq '\.(\w+)')?/.exec(printed) ?? [];
      if (path !== undefined) {
        const { body } = await relay.get(path);
        check(key === undefined ? body : JSON.stringify(JSON.parse(body)[key]));
      }
      if (has('curl') && (key === undefined || has('jq'))) check(await shell(command));
    }

    // `docker logs wavry-relay` is what the process printed.
    const log = join(temporaryDirectory(context), 'log');
    await relay.line(/rate limited.*127\.0\.0\.9$/);
    writeFileSync(log, relay.stdout());
    assert.match(await shell(`cat ${log} | grep -i "master"`), /Registered with Master/);
    const sources = await shell(
      `cat ${log} | grep "rate limited" | awk '{print $NF}' | sort | uniq -c | sort -rn | head -20`,
    );
    assert.match(sources, /^ *\d+ 127\.0\.0\.9$/m);
  });

  test("the guide's docker run, as variables", async (context) => {
    const master = await devMaster(context);
    const relay = startRelay(context, [], {
      WAVRY_MASTER_URL: `${master.url}/`,
      WAVRY_RELAY_ALLOW_PUBLIC_BIND: '1',
      WAVRY_RELAY_MASTER_PUBLIC_KEY: master.publicKeyHex,
      WAVRY_RELAY_MAX_BITRATE: '20000',
      WAVRY_RELAY_REGION: 'us-east-1',
      // Beside the guide's: free ports, and the address that its -p 4000:4000/udp makes.
      WAVRY_RELAY_LISTEN: '0.0.0.0:0',
      WAVRY_RELAY_HEALTH_LISTEN: '0.0.0.0:0',
      WAVRY_RELAY_ADVERTISE: '192.0.2.1:4000',
    });
    await relay.line(/Registered with Master/);
    const [entry] = master.relays();
    assert.deepEqual(entry?.endpoints, ['192.0.2.1:4000']);
    const { port } = new URL(await relay.health());
    assert.equal((await fetch(`http://127.0.0.1:${port}/ready`)).status, 200);
  });

  test('fault 1: a wildcard listen is never registered; /ready says what is missing', async (context) => {
    const master = await devMaster(context);
    const relay = startRelay(context, [
      '--listen',
      '0.0.0.0:0',
      '--allow-public-bind',
      '--master-url',
      master.url,
    ]);
    await relay.address();
    const reason = await until('a reason', async () => {
      const { reason } = await relay.json('/ready');
      return /--advertise/.test(String(reason)) ? String(reason) : undefined;
    });
    assert.match(reason, /--advertise/);
    assert.deepEqual(master.relays(), []);
  });
});

/** 20 packets from 127.0.0.9 that belong to no session. */
async function flood(address: string): Promise<void> {
  const [host, port] = address.split(':') as [string, string];
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.9', resolve));
  const packet = Buffer.alloc(40, 7);
  packet.set([0x57, 1, 0x10, 0]);
  // The limit is one of each second, of which this may touch several.
  for (let i = 0; i < 100; i++) {
    await new Promise<void>((resolve) => socket.send(packet, Number(port), host, () => resolve()));
  }
  socket.close();
}
