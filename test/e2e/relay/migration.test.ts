import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { promisify } from 'node:util';

import { commandBlocks } from '../../docs/markdown.ts';
import { startRelay } from './relay-process.ts';
import { devMaster, received, stopWithoutLoss, talking, temporaryDirectory } from './traffic.ts';

/** docs/migration.md, as printed there but for addresses, keys and how a process is started. */
const PAGE = readFileSync(new URL('../../../docs/migration.md', import.meta.url), 'utf8');
const ADMIN_TOKEN = 'an-admin-token';

function replaced(text: string, changes: Readonly<Record<string, string>>): string {
  for (const printed of Object.keys(changes)) assert.ok(text.includes(printed), `${printed}: not in ${text}`);
  return Object.entries(changes).reduce((line, [printed, here]) => line.replaceAll(printed, here), text);
}

async function step(marker: string, changes: Readonly<Record<string, string>>): Promise<string> {
  const block = commandBlocks(PAGE).find(({ text }) => text.includes(marker));
  assert.ok(block, `no command with ${marker}`);
  const { stdout } = await promisify(execFile)('bash', [
    '-euo',
    'pipefail',
    '-c',
    replaced(block.text, changes),
  ]);
  return stdout;
}

test('step by step from the old relay to the new one, no session is lost', async (context) => {
  const master = await devMaster(context, { adminToken: ADMIN_TOKEN });
  const flags = ['--master-url', master.url, '--master-public-key', master.publicKeyHex];
  const old = startRelay(context, [...flags, '--idle-timeout', '10']);
  await old.ready();
  const early = talking(context, master, 2);
  await received(early, 50);

  const recent = startRelay(context, flags);
  await recent.ready();
  await step('/ready', { 'http://localhost:9092': await recent.health() });
  await step('update_state', {
    'http://localhost:9091': await old.health(),
    'https://master.wavry.dev': master.url,
    $ADMIN_TOKEN: ADMIN_TOKEN,
  });
  const late = talking(context, master, 1);
  await received(late, 50);
  assert.equal((await recent.json('/health'))['active_sessions'], 1, 'those that come meet at the new one');
  assert.equal((await old.json('/health'))['active_sessions'], 2, 'those that were there go on');
  await stopWithoutLoss(early);
  await step('active_sessions', { 'http://localhost:9091': await old.health(), 'sleep 5': 'sleep 0.1' });
  assert.equal((await old.json('/health'))['active_sessions'], 0);
  await stopWithoutLoss(late);
});

test('the unit for systemd starts a relay that registers with a pinned key and keeps its state', async (context) => {
  const unit = /```ini\n([\s\S]*?)```/.exec(PAGE)?.[1] ?? '';
  const value = (name: string): string[] =>
    [...unit.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map((line) => line[1]!);
  const [command = ''] = value('ExecStart');
  const [node, main, ...args] = command.split(' ');
  assert.deepEqual(
    [node, main],
    ['/opt/wavry-relay/node_modules/.bin/node', '/opt/wavry-relay/relay/main.ts'],
  );
  const master = await devMaster(context);
  const state = temporaryDirectory(context);
  const env = replaced(value('Environment').join('\n'), {
    '<master_public_key_hex>': master.publicKeyHex,
    '%S': state,
  });
  const flags = replaced(args.join(' '), {
    '0.0.0.0:4001': '127.0.0.1:0',
    '127.0.0.1:9092': '127.0.0.1:0',
    'https://master.wavry.dev': master.url,
  });
  const relay = startRelay(
    context,
    flags.split(' '),
    Object.fromEntries(env.split('\n').map((line) => line.split('=') as [string, string])),
  );
  await relay.ready();
  assert.deepEqual(master.relays()[0]?.endpoints, ['203.0.113.7:4001']);
  assert.ok(readFileSync(`${state}/wavry-relay/relay-id`, 'utf8').length > 0);
});
