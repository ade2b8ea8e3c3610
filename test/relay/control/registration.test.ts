import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';

import type { ListedRelay, RegisterAnswer } from '../../../relay/control/master-answers.ts';
import type { Master, RegisterCall } from '../../../relay/control/master-client.ts';
import { MasterError } from '../../../relay/control/master-client.ts';
import { Registration } from '../../../relay/control/registration.ts';
import { LogLines } from './log-lines.ts';
import { VirtualClock, settle } from './virtual-clock.ts';

type Outcome = 'ok' | 'down' | 'hang' | number;

/** A Master that can forget, refuse, be away and hang. */
class FakeMaster implements Master {
  readonly calls: string[] = [];
  outcome: (call: 'register' | 'heartbeat' | 'list') => Outcome = () => 'ok';
  known: readonly string[] | undefined;
  intervalMs = 5000;

  async register(call: RegisterCall, signal: AbortSignal): Promise<RegisterAnswer> {
    this.calls.push(`register ${call.endpoints.join(' ')}`);
    await this.#suffer('register', signal);
    this.known = call.endpoints;
    return { heartbeatIntervalMs: this.intervalMs, publicKey: new Uint8Array(32), keyId: undefined };
  }

  async heartbeat(relayId: string, loadPct: number, signal: AbortSignal): Promise<void> {
    this.calls.push(`heartbeat ${loadPct}`);
    await this.#suffer('heartbeat', signal);
    if (!this.known) throw new MasterError(`relay ${relayId} is unknown`, 404);
  }

  async list(signal: AbortSignal): Promise<ListedRelay[]> {
    this.calls.push('list');
    await this.#suffer('list', signal);
    return this.known ? [{ relayId: 'relay-1', endpoints: this.known }] : [];
  }

  async #suffer(call: 'register' | 'heartbeat' | 'list', signal: AbortSignal): Promise<void> {
    const outcome = this.outcome(call);
    if (outcome === 'hang') {
      await new Promise((_resolve, reject) => {
        const cut = (): void => reject(new MasterError('cut short', undefined, true));
        if (signal.aborted) cut();
        else signal.addEventListener('abort', cut);
      });
    }
    if (outcome === 'down') throw new MasterError("can't be reached: ECONNREFUSED");
    if (typeof outcome === 'number') throw new MasterError(`answered ${outcome}`, outcome);
  }
}

class Fixture {
  readonly master = new FakeMaster();
  readonly clock = new VirtualClock();
  readonly lines = new LogLines();
  endpoints: readonly string[] = ['203.0.113.7:4000'];
  loadPct = 40;
  draining = false;
  hasKey = true;
  learn: () => void = () => {};
  readonly registration: Registration;

  constructor(random: () => number = () => 0.5) {
    this.registration = new Registration({
      master: this.master,
      clock: this.clock,
      random,
      log: this.lines.log,
      relay: {
        relayId: 'relay-1',
        region: undefined,
        asn: undefined,
        maxSessions: 100,
        maxBitrateKbps: 20_000,
      },
      endpoints: () => this.endpoints,
      loadPct: () => this.loadPct,
      draining: () => this.draining,
      learnKey: () => this.learn(),
      hasKey: () => this.hasKey,
    });
  }

  count(kind: string): number {
    return this.master.calls.filter((call) => call.startsWith(kind)).length;
  }

  setDraining(draining: boolean): void {
    this.draining = draining;
    this.registration.wake();
  }
}

async function registered(): Promise<Fixture> {
  const fixture = new Fixture();
  fixture.registration.start();
  await settle();
  assert.equal(fixture.registration.registered, true);
  return fixture;
}

test('registers, sends the first heartbeat at once and the next at the interval that Master asks for', async () => {
  const fixture = await registered();
  assert.deepEqual(fixture.master.calls, ['register 203.0.113.7:4000', 'heartbeat 40']);
  await fixture.clock.advance(60_000);
  assert.ok(fixture.count('heartbeat') >= 10 && fixture.count('heartbeat') <= 13);
  assert.equal(fixture.count('register'), 1);
  await fixture.registration.stop();
  assert.equal(fixture.clock.pending, 0);
});

test('fault 8: a Master that is away or answers badly is asked again for ever, after 1 s to 60 s', async () => {
  const fixture = new Fixture(() => 1);
  const atMs: number[] = [];
  fixture.master.outcome = () => {
    atMs.push(fixture.clock.nowMs());
    return atMs.length % 2 === 0 ? 'down' : 500;
  };
  fixture.registration.start();
  await fixture.clock.advance(3_600_000);
  const gaps = atMs.slice(1).map((at, i) => at - atMs[i]!);
  assert.deepEqual(gaps.slice(0, 7), [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000]);
  assert.ok(gaps.slice(6).every((gap) => gap === 60_000));
  assert.equal(fixture.registration.registered, false);
  assert.equal(
    fixture.lines.matching(/^warn: Failed to (connect to|register with) Master: .*trying again in/).length,
    atMs.length,
  );
  fixture.master.outcome = () => 'ok';
  await fixture.clock.advance(60_000);
  assert.equal(fixture.registration.registered, true);
  assert.equal(fixture.registration.problem, undefined);
  await fixture.registration.stop();
});

test('fault 16: an outage of any length takes no registration back', async () => {
  const fixture = await registered();
  assert.equal(fixture.registration.outageMs, 0);
  fixture.master.outcome = (call) => (fixture.clock.nowMs() % 2 < 1 ? 'down' : call === 'list' ? 'ok' : 503);
  await fixture.clock.advance(24 * 3_600_000);
  assert.equal(fixture.registration.registered, true);
  const { outageMs } = fixture.registration;
  assert.ok(outageMs > 24 * 3_600_000 - 10_000 && outageMs < 24 * 3_600_000, `${outageMs} ms`);
  assert.equal(fixture.count('register'), 1);
  const said = fixture.lines.matching(/sessions go on/).length;
  assert.ok(
    said > 100 && said < 24 * 60 * 2,
    `mentioned about once a minute, not at each heartbeat: ${said}`,
  );
  fixture.master.outcome = () => 'ok';
  await fixture.clock.advance(10_000);
  assert.equal(fixture.lines.matching(/Master answers again after 86[34]\d\d s/).length, 1);
  assert.equal(fixture.registration.outageMs, 0);
  await fixture.registration.stop();
});

test('registers again when Master has forgotten it', async () => {
  const fixture = await registered();
  await fixture.clock.advance(20_000);
  fixture.master.known = undefined;
  await fixture.clock.advance(6000);
  assert.equal(fixture.count('register'), 2);
  assert.equal(fixture.registration.registered, true);
  assert.equal(fixture.registration.registrationsTotal, 2);
  await fixture.registration.stop();
});

test('a Master that forgets at once is not asked in a tight loop', async () => {
  const fixture = new Fixture();
  fixture.master.outcome = (call) => (call === 'heartbeat' ? 404 : 'ok');
  fixture.registration.start();
  await fixture.clock.advance(600_000);
  assert.ok(
    fixture.count('register') > 5 && fixture.count('register') < 25,
    `${fixture.count('register')} times`,
  );
  await fixture.registration.stop();
});

test('changed endpoints are registered, and heartbeats go on while Master refuses them', async () => {
  const fixture = await registered();
  await fixture.clock.advance(10_000);
  fixture.master.outcome = (call) => (call === 'register' ? 403 : 'ok');
  fixture.endpoints = ['203.0.113.8:4000'];
  fixture.registration.wake();
  const before = fixture.count('heartbeat');
  await fixture.clock.advance(60_000);
  assert.ok(fixture.count('register 203.0.113.8') >= 3);
  assert.ok(fixture.count('heartbeat') - before >= 9, 'the old registration is kept alive');
  assert.deepEqual(fixture.registration.registeredEndpoints, ['203.0.113.7:4000']);
  fixture.master.outcome = () => 'ok';
  await fixture.clock.advance(60_000);
  assert.deepEqual(fixture.registration.registeredEndpoints, ['203.0.113.8:4000']);
  await fixture.registration.stop();
});

test('nothing is registered before an endpoint is known, nor taken back when none is any more', async () => {
  const fixture = new Fixture();
  fixture.endpoints = [];
  fixture.registration.start();
  await fixture.clock.advance(600_000);
  assert.deepEqual(fixture.master.calls, []);
  fixture.endpoints = ['203.0.113.7:4000'];
  fixture.registration.wake();
  await settle();
  assert.equal(fixture.registration.registered, true);
  fixture.endpoints = [];
  fixture.registration.wake();
  await fixture.clock.advance(30_000);
  assert.equal(fixture.registration.registered, true);
  assert.ok(fixture.count('heartbeat') >= 5);
  await fixture.registration.stop();
});

test('a drain sends load 100 at once, even while another call hangs', async () => {
  const fixture = await registered();
  fixture.master.outcome = () => 'hang';
  await fixture.clock.advance(6000);
  assert.equal(fixture.master.calls.at(-1), 'heartbeat 40');
  fixture.master.outcome = () => 'ok';
  fixture.setDraining(true);
  await settle();
  assert.equal(fixture.master.calls.at(-1), 'heartbeat 100');
  await fixture.clock.advance(12_000);
  assert.equal(fixture.master.calls.filter((call) => call === 'heartbeat 100').length, 3);
  fixture.setDraining(false);
  await settle();
  assert.equal(fixture.master.calls.at(-1), 'heartbeat 40');
  assert.equal(fixture.count('register'), 1, "a registration would clear Master's Draining mark");
  await fixture.registration.stop();
});

test('a draining relay never registers: not for new endpoints, and not when Master has forgotten it', async () => {
  const fixture = await registered();
  fixture.setDraining(true);
  fixture.endpoints = ['203.0.113.8:4000'];
  fixture.registration.wake();
  await fixture.clock.advance(20_000);
  assert.equal(fixture.count('register'), 1);
  fixture.master.known = undefined;
  await fixture.clock.advance(20_000);
  const calls = fixture.master.calls.length;
  assert.equal(fixture.registration.registered, false);
  await fixture.clock.advance(600_000);
  assert.equal(fixture.master.calls.length, calls, 'nothing to say to a Master that does not know it');
  fixture.setDraining(false);
  await settle();
  assert.deepEqual(fixture.registration.registeredEndpoints, ['203.0.113.8:4000']);
  await fixture.registration.stop();
});

test('a registration cut short by a drain may have worked: the heartbeat tells', async () => {
  const fixture = new Fixture();
  fixture.master.outcome = () => 'hang';
  fixture.registration.start();
  await settle();
  assert.equal(fixture.registration.everRegistered, false);
  fixture.master.outcome = () => 'ok';
  fixture.master.known = fixture.endpoints;
  fixture.setDraining(true);
  await settle();
  assert.equal(fixture.registration.everRegistered, true);
  assert.equal(fixture.registration.registered, false);
  await fixture.registration.stop();
});

test('a relay that Master clearly refused was never registered', async () => {
  for (const outcome of ['down', 401, 403, 422] as const) {
    const fixture = new Fixture();
    fixture.master.outcome = () => outcome;
    fixture.registration.start();
    await fixture.clock.advance(100_000);
    assert.equal(fixture.registration.everRegistered, false, `${outcome}`);
    await fixture.registration.stop();
  }
});

test('refused by its own entry of before a restart, the relay goes on with that entry', async () => {
  const fixture = new Fixture();
  fixture.master.known = fixture.endpoints;
  fixture.master.outcome = (call) => (call === 'register' ? 403 : 'ok');
  fixture.registration.start();
  await settle();
  assert.deepEqual(fixture.master.calls, ['register 203.0.113.7:4000', 'list', 'heartbeat 40']);
  assert.equal(fixture.registration.registered, true);
  await fixture.registration.stop();
});

test('an entry of before with another address, or without a key to verify leases with, is not gone on with', async () => {
  for (const spoil of ['address', 'key', 'unlisted'] as const) {
    const fixture = new Fixture();
    if (spoil !== 'unlisted')
      fixture.master.known = spoil === 'address' ? ['203.0.113.7:4001'] : fixture.endpoints;
    if (spoil === 'key') fixture.hasKey = false;
    fixture.master.outcome = (call) => (call === 'register' ? 403 : 'ok');
    fixture.registration.start();
    await fixture.clock.advance(30_000);
    assert.equal(fixture.registration.registered, false, spoil);
    assert.equal(fixture.count('heartbeat'), 0);
    await fixture.registration.stop();
  }
});

test('an answer whose key nobody can sign with changes nothing', async () => {
  const fixture = await registered();
  fixture.master.known = undefined;
  fixture.learn = () => {
    throw new Error('master_public_key: no point of the curve');
  };
  await fixture.clock.advance(30_000);
  assert.equal(fixture.registration.registered, false);
  assert.ok(fixture.lines.matching(/Failed to register with Master: master_public_key: no point/).length > 0);
  assert.match(fixture.registration.problem!, /master_public_key/);
  await fixture.registration.stop();
});

test('load stays within 0 to 100, whatever the sessions', async () => {
  const fixture = await registered();
  fixture.loadPct = 250;
  await fixture.clock.advance(6000);
  assert.equal(fixture.master.calls.at(-1), 'heartbeat 100');
  await fixture.registration.stop();
});

test('stopping ends a call that hangs', async () => {
  const fixture = new Fixture();
  fixture.master.outcome = () => 'hang';
  fixture.registration.start();
  await settle();
  await fixture.registration.stop();
  assert.equal(fixture.clock.pending, 0);
});

test('whatever Master does and whoever wakes it: calls keep their distance, and a drained relay never registers', async () => {
  const step = fc.record({
    outcome: fc.constantFrom<Outcome>('ok', 'down', 401, 403, 404, 500),
    endpoint: fc.constantFrom('203.0.113.7:4000', '203.0.113.8:4000', ''),
    draining: fc.boolean(),
    forget: fc.boolean(),
    forMs: fc.integer({ min: 0, max: 30_000 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
      const fixture = new Fixture();
      fixture.registration.start();
      for (const { outcome, endpoint, draining, forget, forMs } of steps) {
        fixture.master.outcome = () => outcome;
        if (forget) fixture.master.known = undefined;
        fixture.endpoints = endpoint === '' ? [] : [endpoint];
        fixture.draining = draining;
        fixture.registration.wake();
        const before = fixture.master.calls.length;
        const registrations = fixture.count('register');
        await fixture.clock.advance(forMs);
        const calls = fixture.master.calls.length - before;
        assert.ok(calls <= 8 + (4 * forMs) / 1000, `${calls} calls in ${forMs} ms`);
        if (draining) assert.equal(fixture.count('register'), registrations);
      }
      fixture.master.outcome = () => 'ok';
      fixture.endpoints = ['203.0.113.9:4000'];
      fixture.setDraining(false);
      await fixture.clock.advance(120_000);
      assert.deepEqual(fixture.registration.registeredEndpoints, ['203.0.113.9:4000']);
      assert.deepEqual(fixture.master.known, ['203.0.113.9:4000']);
      await fixture.registration.stop();
      assert.equal(fixture.clock.pending, 0);
    }),
    { numRuns: 60 },
  );
});
