import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { test } from 'node:test';

import { generateKey } from '../../../local/master/keys.ts';
import { issueLease } from '../../../local/master/lease.ts';
import { findBadLease } from '../../../local/peers/bad-leases.ts';
import { presentBadLeases } from '../../../local/peers/bad-lease-run.ts';
import type { LeaseRequest, LeaseSource } from '../../../local/peers/lease-source.ts';
import type { PeersOptions } from '../../../local/peers/peers-options.ts';
import type { PeersSnapshot } from '../../../local/peers/peers-snapshot.ts';
import { startPeers } from '../../../local/peers/peers.ts';
import { makeReport } from '../../../local/peers/report.ts';
import { until } from '../../e2e/operator/until.ts';
import type { StandInOptions, StandInRelay } from './stand-in-relay.ts';
import { startStandInRelay } from './stand-in-relay.ts';

const key = generateKey();
const FORWARD = 0x10;

function leasesFor(address: string, asked: LeaseRequest[] = []): LeaseSource {
  return (request) => {
    asked.push(request);
    const session_id = request.sessionId ?? crypto.randomUUID();
    const lease = (role: 'client' | 'server'): Awaited<ReturnType<LeaseSource>>['client'] => ({
      relay_id: 'relay-1',
      addr: address,
      session_id,
      token: issueLease(
        {
          identity: role,
          sessionId: session_id,
          role,
          relayId: 'relay-1',
          leaseSeconds: 900,
          softKbps: 1,
          hardKbps: 1,
        },
        key,
        1n,
      ),
    });
    return Promise.resolve({ client: lease('client'), server: lease('server') });
  };
}

/** Half a second of peers over a stand-in relay, or until something of them was `seen`. */
async function run(
  t: TestContext,
  relayOptions: StandInOptions,
  { durationSeconds = 0.5, ...options }: Partial<PeersOptions> = {},
  seen?: (now: PeersSnapshot, relay: StandInRelay) => boolean,
): Promise<PeersSnapshot & Pick<StandInRelay, 'counts' | 'sources'>> {
  const relay = await startStandInRelay(relayOptions);
  t.after(() => relay.close());
  const running = startPeers({
    leases: leasesFor(relay.address),
    sessions: 2,
    rate: 200,
    size: 300,
    bidirectional: true,
    ...(seen ? {} : { durationSeconds }),
    ...options,
  });
  t.after(() => running.stop());
  if (seen) {
    await until('what the run is for', () => seen(running.snapshot(), relay));
    void running.stop();
  }
  return { ...(await running.done), counts: relay.counts, sources: relay.sources };
}

/** Transport packets only: sessions come to be undisturbed. */
function isTransport(datagram: Buffer): boolean {
  return datagram.readUInt32BE(24) !== 0;
}

/** Every tenth transport packet becomes something else. */
function everyTenth(change: (datagram: Buffer) => readonly Buffer[]): NonNullable<StandInOptions['fate']> {
  let n = 0;
  return (datagram) => (isTransport(datagram) && ++n % 10 === 0 ? change(datagram) : undefined);
}

function changed(at: number): (datagram: Buffer) => readonly Buffer[] {
  return (datagram) => {
    const copy = Buffer.from(datagram);
    copy[at < 0 ? copy.length + at : at]! ^= 1;
    return [copy];
  };
}

test('over a relay that does its work nothing is lost, and every packet is checked', async (t) => {
  const end = await run(t, {});
  assert.equal(end.sessions.established, 2);
  assert.ok(end.tally.sent > 0);
  assert.equal(end.tally.received, end.tally.sent);
  assert.equal(end.tally.receivedBytes, end.tally.sentBytes);
  assert.equal(end.overall.count, end.tally.sent);
  assert.ok(end.overall.p50 > 0 && end.overall.p50 <= end.overall.p99 && end.overall.p99 <= end.overall.max);
  assert.deepEqual(makeReport(end, 0).problems, []);
});

test('a deployed peer presents once, whatever the relay answers', async (t) => {
  for (const relay of [{}, { mute: true }]) {
    const end = await run(t, relay, { renewSeconds: 0.1 });
    assert.equal(end.counts.get(1), 4);
    assert.equal(end.counts.get(4), undefined);
    assert.ok(end.tally.received > 0);
  }
});

test('a peer without traffic of its own pings twice a second', async (t) => {
  const end = await run(t, {}, { rate: 0, durationSeconds: 1, sessions: 1 });
  const due = end.tally.sent + end.skipped;
  assert.ok(end.tally.sent >= 1 && Math.abs(due - 4 * end.seconds) <= 1.5, `${due} due in ${end.seconds} s`);
});

test('only servers send without --bidirectional', async (t) => {
  for (const bidirectional of [false, true]) {
    const senders = new Set<number>();
    const fate: StandInOptions['fate'] = (datagram) => {
      if (datagram.length === 300) senders.add(datagram.readUInt32BE(24));
      return undefined;
    };
    await run(t, { fate }, { bidirectional, durationSeconds: 0.3 });
    assert.equal(senders.size, bidirectional ? 4 : 2);
  }
});

test('a renewing peer waits for its acknowledgement, renews, and presents fresh leases', async (t) => {
  const relay = await startStandInRelay();
  t.after(() => relay.close());
  const asked: LeaseRequest[] = [];
  const running = startPeers({
    leases: leasesFor(relay.address, asked),
    sessions: 1,
    rate: 10,
    size: 100,
    behaviour: 'renewing',
    renewSeconds: 0.1,
  });
  t.after(() => running.stop());
  const renewed = ({ tally: { renews, acks } }: PeersSnapshot): boolean => renews >= 2 && acks > 2 + 2;
  await until('a fresh lease to be renewed', () => asked.length >= 2 && renewed(running.snapshot()));
  const end = await running.stop();
  assert.ok(end.tally.renews >= 2);
  assert.ok(end.tally.acks > 2 + 2);
  assert.ok(asked.length >= 2);
  assert.ok(
    asked.slice(1).every(({ sessionId, relayId }) => sessionId !== undefined && relayId === 'relay-1'),
  );
});

test('a renewing peer gives up when its lease is rejected, with the reason', async (t) => {
  const end = await run(t, { reject: 4 }, { behaviour: 'renewing' });
  assert.equal(end.sessions.failed, 2);
  assert.deepEqual(end.failures, { 'the relay rejected the lease: session full': 2 });
  assert.ok(end.tally.rejects[4]! >= 2);
  assert.match(makeReport(end, 0).problems[0]!, /2 of 2 sessions were not set up: .*session full \(2\)/);
});

test('lost packets are counted', async (t) => {
  const end = await run(t, { fate: everyTenth(() => []) }, {}, ({ tally }) => tally.sent >= 100);
  assert.equal(end.lost, Math.floor(end.tally.sent / 10));
  assert.equal(end.tally.received, end.tally.sent - end.lost);
  const percent = (100 * end.lost) / end.tally.sent;
  assert.ok(!makeReport(end, 0).ok);
  assert.ok(!makeReport(end, percent - 0.01).ok);
  assert.ok(makeReport(end, percent).ok);
});

test('duplicated packets are counted, and no loss allowance excuses them', async (t) => {
  const end = await run(t, { fate: everyTenth((datagram) => [datagram, datagram]) });
  assert.equal(end.tally.duplicated, Math.floor(end.tally.sent / 10));
  assert.equal(end.lost, 0);
  assert.match(makeReport(end, 100).problems.join(), /came more than once/);
});

for (const [what, at] of [
  ['the magic byte', 0],
  ['the session id', 10],
  ['the RIFT alias', 24],
  ['the packet id', 35],
  ['the CRC', 37],
  ['the first byte of the body', 38],
  ['the last byte', -1],
] as const) {
  test(`a changed bit in ${what} is corruption`, async (t) => {
    const end = await run(t, { fate: everyTenth(changed(at)) }, { durationSeconds: 0.2 });
    assert.equal(end.tally.corrupted, Math.floor(end.tally.sent / 10));
    assert.equal(end.lost, end.tally.corrupted);
    assert.match(makeReport(end, 100).problems.join(), /came corrupted/);
  });
}

test('a packet cut short, made longer, or of another session is corruption', async (t) => {
  let other: Buffer | undefined;
  for (const change of [
    (datagram: Buffer): readonly Buffer[] => [datagram.subarray(0, -1)],
    (datagram: Buffer): readonly Buffer[] => [Buffer.concat([datagram, Buffer.alloc(1)])],
    (datagram: Buffer): readonly Buffer[] => {
      // The other session's packet under this one's header.
      const swapped = other && Buffer.concat([datagram.subarray(0, 20), other.subarray(20)]);
      other = Buffer.from(datagram);
      return swapped ? [swapped] : [datagram];
    },
  ]) {
    const end = await run(t, { fate: everyTenth(change) }, { durationSeconds: 0.2 });
    assert.ok(end.tally.corrupted > 0);
  }
});

test('reordered packets are counted and not taken for lost', async (t) => {
  let held: Buffer[] = [];
  const fate: StandInOptions['fate'] = (datagram) => {
    if (datagram.length !== 300) return undefined; // the server's
    held.push(Buffer.from(datagram));
    if (held.length < 2) return [];
    const out = held.toReversed();
    held = [];
    return out;
  };
  const end = await run(t, { fate }, { sessions: 1, bidirectional: false, rate: 500 });
  assert.ok(end.tally.reordered > 0);
  assert.equal(end.tally.duplicated, 0);
  assert.equal(end.tally.corrupted, 0);
});

test('trains go back to back, at the same rate on the whole', async (t) => {
  const arrivals: number[] = [];
  const fate: StandInOptions['fate'] = (datagram) => {
    if (datagram.length === 300) arrivals.push(datagram.readUInt32BE(32));
    return undefined;
  };
  await run(t, { fate }, { sessions: 1, bidirectional: false, train: 16, rate: 320, durationSeconds: 0.5 });
  assert.equal(arrivals.length % 16, 0);
  assert.ok(arrivals.length > 0);
  for (let i = 0; i < arrivals.length; i += 16) assert.equal(arrivals[i + 15]! - arrivals[i]!, 15);
});

test('replays are sent, and told from other duplicates of theirs by nobody: a relay must stop them', async (t) => {
  const through = await run(t, {}, { replay: true, sessions: 1, rate: 800 });
  assert.ok(through.tally.replayed > through.tally.sent * 0.8);
  assert.ok(through.tally.duplicated > through.tally.sent * 0.8);
  const seen = new Set<string>();
  const stopped = await run(
    t,
    {
      fate: (datagram) => {
        const name = datagram.toString('hex', 4, 38);
        if (isTransport(datagram) && seen.has(name)) return [];
        seen.add(name);
        return undefined;
      },
    },
    { replay: true, sessions: 1 },
  );
  assert.equal(stopped.tally.duplicated, 0);
  assert.ok(makeReport(stopped, 0).ok);
});

test('a thief with a copied token is told apart from the peer', async (t) => {
  const end = await run(t, {}, { copiedToken: true }, ({ loot }) => (loot?.stolenPackets ?? 0) > 0);
  assert.ok(end.loot!.presents >= 1);
  assert.ok(end.loot!.stolenPackets > 0, 'the stand-in believes everybody');
  assert.match(makeReport(end, 100).problems.join(), /went to somebody with a copied token/);
});

test('a client that rebinds goes on from another port', async (t) => {
  // What the other sends from then on goes to where it was.
  let enough = Infinity;
  const rebound = ({ tally }: PeersSnapshot, { sources }: StandInRelay): boolean => {
    if (sources.size === 3) enough = Math.min(enough, tally.sent + 50);
    return tally.sent >= enough;
  };
  const end = await run(t, {}, { sessions: 1, rebindAfterSeconds: 0.1 }, rebound);
  assert.equal(end.tally.rebinds, 1);
  assert.equal(end.sources.size, 3);
  assert.equal(end.tally.rebindsRecovered, 0, 'the stand-in notices no rebinding');
  assert.ok(end.lost > 0);
});

test('peers send from the addresses they are given', async (t) => {
  const end = await run(t, {}, { sessions: 3, bind: { first: 0x7f0a0001, count: 65_534 } });
  assert.equal(end.sessions.established, 3);
  assert.deepEqual(
    new Set([...end.sources].map((source) => source.split(':')[0])),
    new Set([1, 2, 3, 4, 5, 6].map((n) => `127.10.0.${n}`)),
  );
});

test('a flood comes on top, and its answers are counted', async (t) => {
  const flood = { kind: 'leases', rate: 500, addresses: 5 } as const;
  const end = await run(t, {}, { flood }, (now) => (now.flood?.answers ?? 0) > 0);
  assert.ok(end.flood!.sent > 0);
  assert.ok(end.flood!.answers > 0);
  assert.ok(end.counts.get(1)! > 4);
});

test('bad leases that a relay takes are a problem', async (t) => {
  const relay = await startStandInRelay();
  t.after(() => relay.close());
  const report = await presentBadLeases(findBadLease('expired')!, 2, leasesFor(relay.address), undefined);
  assert.deepEqual([report.ok, report.presented, report.accepted], [false, 4, 4]);
  const strict = await startStandInRelay({ reject: 1 });
  t.after(() => strict.close());
  const good = await presentBadLeases(findBadLease('expired')!, 2, leasesFor(strict.address), undefined);
  assert.deepEqual([good.ok, good.rejected], [true, { expired: 4 }]);
  const silent = await presentBadLeases(findBadLease('short')!, 1, leasesFor(strict.address), undefined);
  assert.ok(!silent.ok, 'an answer where silence is due');
});

test('a relay that is not there is a failure with a reason, not a crash', async (t) => {
  const relay = await startStandInRelay();
  await relay.close();
  const running = startPeers({
    leases: leasesFor(relay.address),
    sessions: 1,
    rate: 10,
    size: 100,
  });
  t.after(() => running.stop());
  await until('the refusal', () => running.snapshot().tally.socketErrors > 0);
  const end = await running.stop();
  assert.equal(end.sessions.established, 0);
  assert.ok(end.tally.socketErrors > 0);
  assert.match(makeReport(end, 100).problems.join(), /1 of 1 sessions were not set up/);
});

test('a Master without leases ends the run with its reason, and leaves nothing open', async () => {
  const running = startPeers({
    leases: () => Promise.reject(new Error('Master gives no lease: no relay is registered')),
    sessions: 20,
    rate: 10,
    size: 100,
  });
  await assert.rejects(running.done, /no relay is registered/);
});

test('stop() ends a run without a duration, and snapshots can be had meanwhile', async (t) => {
  const relay = await startStandInRelay();
  t.after(() => relay.close());
  const seconds: PeersSnapshot[] = [];
  const running = startPeers({
    leases: leasesFor(relay.address),
    sessions: 1,
    rate: 100,
    size: 100,
    onSecond: (snapshot) => seconds.push(snapshot),
  });
  await until('a second of talk', () => seconds.some(({ recent }) => recent.count > 0));
  assert.equal(running.snapshot().phase, 'talking');
  const end = await running.stop();
  assert.equal(end.phase, 'done');
  assert.ok(relay.counts.get(FORWARD)! > 0);
});
