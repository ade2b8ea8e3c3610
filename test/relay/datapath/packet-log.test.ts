import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COUNTER_CELLS, Counter } from '../../../relay/pipeline/counters.ts';
import { PacketLog } from '../../../relay/datapath/packet-log.ts';
import { parseAddress } from '../../../relay/protocol/address.ts';

function rig(): { counters: Float64Array; lines: string[]; log: PacketLog } {
  const counters = new Float64Array(COUNTER_CELLS);
  const lines: string[] = [];
  return { counters, lines, log: new PacketLog(counters, (line) => lines.push(line)) };
}

test('the guide’s grep and awk find the source address of a rate limited packet', () => {
  const { counters, lines, log } = rig();
  counters[Counter.dropped_packets]!++;
  counters[Counter.rate_limited_packets]!++;
  log.refused(parseAddress('203.0.113.9:5555')!, 0);
  const found = lines.filter((line) => line.includes('rate limited')).map((line) => line.split(' ').at(-1));
  assert.deepEqual(found, ['203.0.113.9']);
});

test('a line says why, and an accepted lease gets none', () => {
  const { counters, lines, log } = rig();
  counters[Counter.lease_accepted_packets]!++;
  log.refused(parseAddress('203.0.113.9:5555')!, 0);
  counters[Counter.replay_dropped_packets]!++;
  log.refused(parseAddress('[2001:db8::7]:5555')!, 0);
  assert.deepEqual(lines, ['packet dropped, replay: from 2001:db8::7']);
});

test('whatever is sent, there are at most twenty lines a second, and what is missing is said', () => {
  const { counters, lines, log } = rig();
  const flood = (packets: number): void => {
    for (let i = 0; i < packets; i++) {
      counters[Counter.invalid_packets]!++;
      log.refused(parseAddress(`198.51.100.${i % 256}:1`)!, 0);
    }
  };
  flood(1000);
  assert.equal(lines.length, 20);
  log.refill();
  flood(1);
  assert.equal(lines.length, 21);
  assert.match(lines[20]!, /invalid \(and 980 lines like this not written\): from 198\.51\.100\.0$/);
});

test('what was counted while no line might be written is not blamed on a later packet', () => {
  const { counters, lines, log } = rig();
  for (let i = 0; i < 30; i++) {
    counters[Counter.invalid_packets]!++;
    log.refused(parseAddress('198.51.100.1:1')!, 0);
  }
  log.refill();
  counters[Counter.unknown_peer_packets]!++;
  log.refused(parseAddress('198.51.100.2:1')!, 0);
  assert.match(lines.at(-1)!, /unknown peer/);
});
