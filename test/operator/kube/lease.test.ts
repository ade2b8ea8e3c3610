import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';

import { LeaderElection } from '../../../operator/kube/leader-election.ts';
import { until } from '../../e2e/operator/until.ts';
import { json, refuse, StandInApiServer } from './stand-in-api-server.ts';

const PATH = '/apis/coordination.k8s.io/v1/namespaces/wavry/leases';

interface LeaseSpec {
  readonly holderIdentity: string;
  readonly leaseDurationSeconds: number;
  readonly acquireTime: string;
  readonly renewTime: string;
  readonly leaseTransitions: number;
}

/** An API server with one Lease, which it lets change only from its present version. */
class Site {
  lease: { spec: LeaseSpec; version: number } | undefined;
  /** While true every request is refused. */
  down = false;
  server!: StandInApiServer;
  readonly #t: TestContext;

  private constructor(t: TestContext) {
    this.#t = t;
  }

  static async start(t: TestContext): Promise<Site> {
    const site = new Site(t);
    site.server = await StandInApiServer.start(({ method, path, body }, response) => {
      if (site.down) return refuse(response, 500, 'InternalError');
      const given = body === '' ? undefined : (JSON.parse(body) as LeaseBody);
      if (method === 'POST') {
        assert.equal(path, PATH);
        if (site.lease) return refuse(response, 409, 'AlreadyExists');
        site.lease = { spec: given!.spec, version: 1 };
      } else {
        assert.equal(path, `${PATH}/operator`);
        if (!site.lease) return refuse(response, 404, 'NotFound');
        if (method === 'PUT') {
          if (given!.metadata.resourceVersion !== String(site.lease.version)) {
            return refuse(response, 409, 'Conflict');
          }
          site.lease = { spec: given!.spec, version: site.lease.version + 1 };
        }
      }
      const metadata = { name: 'operator', resourceVersion: String(site.lease.version) };
      json(response, { metadata, spec: site.lease.spec });
    });
    t.after(() => site.server.stop());
    return site;
  }

  /** Somebody else writes the lease. */
  writtenBy(holder: string, change: Partial<LeaseSpec> = {}): void {
    const now = new Date().toISOString();
    this.lease = {
      version: (this.lease?.version ?? 0) + 1,
      spec: {
        holderIdentity: holder,
        leaseDurationSeconds: 15,
        acquireTime: now,
        renewTime: now,
        leaseTransitions: 3,
        ...change,
      },
    };
  }

  candidate(identity: string): Candidate {
    const candidate = new Candidate(this, identity);
    this.#t.after(() => candidate.election.stop());
    candidate.election.start();
    return candidate;
  }

  /** Until the lease has been looked at so often more. */
  async looks(count: number): Promise<void> {
    const wanted = this.server.requests.length + count;
    await until(`${count} looks`, () => this.server.requests.length >= wanted);
  }
}

interface LeaseBody {
  readonly metadata: { readonly resourceVersion?: string };
  readonly spec: LeaseSpec;
}

/** With a clock that only the test moves: deadlines never depend on how busy the machine is. */
class Candidate {
  nowMs = 1000;
  readonly heard: string[] = [];
  readonly problems: string[] = [];
  readonly election: LeaderElection;

  constructor(site: Site, identity: string) {
    this.election = new LeaderElection({
      client: site.server.client,
      namespace: 'wavry',
      name: 'operator',
      identity,
      leaseDurationMs: 15_000,
      renewDeadlineMs: 10_000,
      retryPeriodMs: 10,
      nowMs: () => this.nowMs,
      wallMs: Date.now,
      random: () => 0,
      onStarted: () => this.heard.push('started'),
      onStopped: () => this.heard.push('stopped'),
      onProblem: (message) => this.problems.push(message),
    });
  }

  whenHeard(...words: readonly string[]): Promise<unknown> {
    return until(`to hear ${words.join(', ')}`, () => this.heard.join() === words.join());
  }
}

test('a lease that nobody has is made, and renewed with the time it was acquired kept', async (t) => {
  const site = await Site.start(t);
  const candidate = site.candidate('a');
  await candidate.whenHeard('started');
  assert.ok(candidate.election.leading);
  const first = site.lease!.spec;
  assert.deepEqual([first.holderIdentity, first.leaseDurationSeconds, first.leaseTransitions], ['a', 15, 0]);
  assert.match(first.renewTime, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  await until('a renewal', () => site.lease!.spec.renewTime > first.renewTime);
  assert.deepEqual([site.lease!.spec.acquireTime, site.lease!.spec.leaseTransitions], [first.acquireTime, 0]);
  assert.deepEqual([candidate.heard, candidate.problems], [['started'], []]);
});

for (const [name, renewTime] of [
  ['years behind', '2001-01-01T00:00:00.000000Z'],
  ['years ahead', '2101-01-01T00:00:00.000000Z'],
] as const) {
  test(`a holder whose clock is ${name} is judged by how long its lease was seen unchanged`, async (t) => {
    const site = await Site.start(t);
    site.writtenBy('other', { renewTime, leaseDurationSeconds: 15 });
    const candidate = site.candidate('a');
    await site.looks(3);
    candidate.nowMs += 14_999;
    await site.looks(3);
    assert.equal(site.lease!.spec.holderIdentity, 'other');
    candidate.nowMs += 2;
    await candidate.whenHeard('started');
    assert.deepEqual([site.lease!.spec.holderIdentity, site.lease!.spec.leaseTransitions], ['a', 4]);
  });
}

test('a holder that goes on renewing keeps its lease, however long it takes', async (t) => {
  const site = await Site.start(t);
  const candidate = site.candidate('b');
  site.writtenBy('other', { renewTime: '1' });
  for (let round = 0; round < 5; round += 1) {
    await site.looks(3);
    candidate.nowMs += 14_000;
    site.writtenBy('other', { renewTime: String(round) });
  }
  await site.looks(3);
  assert.deepEqual(candidate.heard, []);
});

test('a lease that was given up is taken at once', async (t) => {
  const site = await Site.start(t);
  site.writtenBy('', { leaseDurationSeconds: 1 });
  const candidate = site.candidate('a');
  await candidate.whenHeard('started');
  assert.equal(site.lease!.spec.leaseTransitions, 4);
});

test('an API server that fails costs the lead once the deadline is over, not before', async (t) => {
  const site = await Site.start(t);
  const candidate = site.candidate('a');
  await candidate.whenHeard('started');
  site.down = true;
  await site.looks(3);
  candidate.nowMs += 9000;
  await site.looks(3);
  assert.ok(candidate.election.leading);
  candidate.nowMs += 2000;
  assert.ok(!candidate.election.leading, 'it knows at once, not at the next try');
  await candidate.whenHeard('started', 'stopped');
  assert.match(candidate.problems[0]!, /^leader election: /);
});

test('who was stopped longer than its lease neither leads nor renews when it goes on', async (t) => {
  const site = await Site.start(t);
  const candidate = site.candidate('a');
  await candidate.whenHeard('started');
  candidate.nowMs += 60_000;
  assert.ok(!candidate.election.leading);
  await candidate.whenHeard('started', 'stopped');
});

test('who finds another in the lease stops at once', async (t) => {
  const site = await Site.start(t);
  const candidate = site.candidate('a');
  await candidate.whenHeard('started');
  site.writtenBy('other');
  await candidate.whenHeard('started', 'stopped');
  assert.ok(!candidate.election.leading);
  assert.equal(site.lease!.spec.holderIdentity, 'other');
});

test('a proper end gives the lease up, so that the next one needn’t wait', async (t) => {
  const site = await Site.start(t);
  const first = site.candidate('a');
  await first.whenHeard('started');
  const second = site.candidate('b');
  await site.looks(4);
  await first.election.stop();
  assert.deepEqual(first.heard, ['started', 'stopped']);
  await second.whenHeard('started');
  assert.equal(site.lease!.spec.holderIdentity, 'b');
});

test('who never led leaves the lease alone at its end', async (t) => {
  const site = await Site.start(t);
  site.writtenBy('other');
  const candidate = site.candidate('a');
  await site.looks(2);
  await candidate.election.stop();
  assert.deepEqual([candidate.heard, site.lease!.spec.holderIdentity], [[], 'other']);
});

test('of many that want it at the same moment one gets it', async (t) => {
  const site = await Site.start(t);
  const candidates = Array.from({ length: 8 }, (_, index) => site.candidate(String(index)));
  await until('a leader', () => candidates.some(({ election }) => election.leading));
  await site.looks(40);
  assert.equal(candidates.filter(({ election }) => election.leading).length, 1);
  assert.equal(candidates.flatMap(({ heard }) => heard).length, 1);
});
