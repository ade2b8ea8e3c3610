import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PacketLog } from '../../../relay/datapath/packet-log.ts';
import { Counter, PRIMARY_DROP_REASONS } from '../../../relay/pipeline/counters.ts';
import { parseAddress } from '../../../relay/protocol/address.ts';

function rig(): { lines: string[]; log: PacketLog; refuse: (reason: number, from: string) => void } {
  const lines: string[] = [];
  const log = new PacketLog((line) => lines.push(line));
  return { lines, log, refuse: (reason, from) => log.refused(reason, parseAddress(from)!, 0) };
}

test('the guide’s grep and awk find the source address of a rate limited packet', () => {
  const { lines, refuse } = rig();
  refuse(Counter.rate_limited_packets, '203.0.113.9:5555');
  const found = lines.filter((line) => line.includes('rate limited')).map((line) => line.split(' ').at(-1));
  assert.deepEqual(found, ['203.0.113.9']);
});

test('a line says why, and an accepted lease gets none', () => {
  const { lines, refuse } = rig();
  refuse(-1, '203.0.113.9:5555');
  refuse(Counter.replay_dropped_packets, '[2001:db8::7]:5555');
  assert.deepEqual(lines, ['packet dropped, replay: from 2001:db8::7']);
});

test('every reason for which a packet is dropped has words', () => {
  for (const name of PRIMARY_DROP_REASONS) {
    // Counted after the kernel refused to send, when no packet is being judged.
    if (name === 'send_failed_packets') continue;
    const { lines, refuse } = rig();
    refuse(Counter[name], '192.0.2.1:1');
    assert.doesNotMatch(lines[0]!, /without a name/, name);
  }
});

test('whatever is sent, there are at most twenty lines a second, and what is missing is said', () => {
  const { lines, log, refuse } = rig();
  for (let i = 0; i < 1000; i++) refuse(Counter.invalid_packets, `198.51.100.${i % 256}:1`);
  assert.equal(lines.length, 20);
  log.refill();
  refuse(Counter.invalid_packets, '198.51.100.0:1');
  assert.equal(lines.length, 21);
  assert.match(lines[20]!, /invalid \(and 980 lines like this not written\): from 198\.51\.100\.0$/);
});
