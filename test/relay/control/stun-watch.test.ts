import assert from 'node:assert/strict';
import { test } from 'node:test';

import { resolveStunServer } from '../../../relay/control/stun-server.ts';
import { STUN_INTERVAL_MS, StunWatch } from '../../../relay/control/stun-watch.ts';
import { LogLines } from './log-lines.ts';
import { VirtualClock, settle } from './virtual-clock.ts';

class Fixture {
  readonly clock = new VirtualClock();
  readonly lines = new LogLines();
  readonly asked: string[] = [];
  answer: string | Error = '203.0.113.9:61000';
  resolved: string | Error = '198.51.100.1:3478';
  changes = 0;
  readonly watch: StunWatch = new StunWatch({
    server: 'stun.example.com:3478',
    resolve: async () => valueOf(this.resolved),
    ask: async (server) => {
      this.asked.push(server);
      return valueOf(this.answer);
    },
    clock: this.clock,
    random: () => 1,
    log: this.lines.log,
    onChange: () => this.changes++,
  });
}

function valueOf(outcome: string | Error): string {
  if (outcome instanceof Error) throw outcome;
  return outcome;
}

test('asks every 30 s; the first answer counts at once', async () => {
  const fixture = new Fixture();
  fixture.watch.start();
  await settle();
  assert.equal(fixture.watch.mapped, '203.0.113.9:61000');
  await fixture.clock.advance(10 * STUN_INTERVAL_MS);
  assert.equal(fixture.asked.length, 11);
  assert.equal(fixture.changes, 1);
  await fixture.watch.stop();
  assert.equal(fixture.clock.pending, 0);
});

test('a changed address counts only when two answers in a row agree on it', async () => {
  const fixture = new Fixture();
  fixture.watch.start();
  await settle();
  fixture.answer = '203.0.113.9:61001';
  await fixture.clock.advance(STUN_INTERVAL_MS);
  assert.equal(fixture.watch.mapped, '203.0.113.9:61000');
  fixture.answer = '203.0.113.9:61002';
  await fixture.clock.advance(5000);
  assert.equal(fixture.watch.mapped, '203.0.113.9:61000', 'two different ones are no agreement');
  fixture.answer = '203.0.113.9:61000';
  await fixture.clock.advance(5000);
  fixture.answer = '203.0.113.9:61002';
  await fixture.clock.advance(STUN_INTERVAL_MS);
  assert.equal(fixture.changes, 1, 'the old address in between counts as a fresh start');
  await fixture.clock.advance(5000);
  assert.equal(fixture.watch.mapped, '203.0.113.9:61002');
  assert.equal(fixture.changes, 2);
  await fixture.watch.stop();
});

test('an outage of the STUN server keeps the address, and is said once', async () => {
  const fixture = new Fixture();
  fixture.watch.start();
  await settle();
  fixture.answer = new Error('no answer within 3000 ms');
  await fixture.clock.advance(3_600_000);
  assert.equal(fixture.watch.mapped, '203.0.113.9:61000');
  assert.equal(
    fixture.lines.matching(/^warn: STUN server stun\.example\.com:3478 gives no answer: no answer within/)
      .length,
    1,
  );
  fixture.answer = '203.0.113.9:61000';
  await fixture.clock.advance(STUN_INTERVAL_MS);
  assert.equal(fixture.lines.matching(/^info: .*answers/).length, 1);
  await fixture.watch.stop();
});

test('at the start it is asked again soon, and the name is looked up each time', async () => {
  const fixture = new Fixture();
  fixture.resolved = new Error('getaddrinfo ENOTFOUND stun.example.com');
  fixture.watch.start();
  await fixture.clock.advance(7500);
  assert.deepEqual(fixture.asked, []);
  assert.equal(fixture.lines.matching(/ENOTFOUND/).length, 4);
  fixture.resolved = '198.51.100.2:3478';
  await fixture.clock.advance(8000);
  assert.deepEqual(fixture.asked, ['198.51.100.2:3478']);
  assert.equal(fixture.watch.mapped, '203.0.113.9:61000');
  await fixture.watch.stop();
});

test('the server is resolved to an address that the data socket can reach', async () => {
  const v4 = { host: '0.0.0.0', port: 4000, family: 4 } as const;
  const v6 = { host: '2001:db8::1', port: 4000, family: 6 } as const;
  const both = { host: '::', port: 4000, family: 6 } as const;
  assert.equal(await resolveStunServer('127.0.0.1:3479', v4), '127.0.0.1:3479');
  assert.equal(await resolveStunServer('127.0.0.1', v4), '127.0.0.1:3478');
  assert.equal(await resolveStunServer('[::1]:3479', v6), '[::1]:3479');
  assert.equal(await resolveStunServer('127.0.0.1:3479', both), '127.0.0.1:3479');
  assert.equal(await resolveStunServer('[::1]:3479', both), '[::1]:3479');
  assert.equal(await resolveStunServer('localhost:3479', v4), '127.0.0.1:3479');
  await assert.rejects(resolveStunServer('[::1]:3479', v4), /::1 has no IPv4 address/);
  await assert.rejects(resolveStunServer('stun:stun:1', v4), /is not host:port/);
});
