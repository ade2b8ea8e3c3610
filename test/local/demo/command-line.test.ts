import assert from 'node:assert/strict';
import { test } from 'node:test';

import { CONTROL_PLANE_BINARIES } from '../../../local/cluster/binaries.ts';
import { buildNotice } from '../../../local/demo/binary-search.ts';
import { fleetLines } from '../../../local/demo/cluster-demo.ts';
import { parseCommandLine, UsageError } from '../../../local/demo/command-line.ts';
import { ownAddress } from '../../../local/demo/context-site.ts';
import { fleetObjects } from '../../../local/demo/fleet.ts';

test('options are read', () => {
  assert.deepEqual(parseCommandLine([]), {});
  assert.equal(parseCommandLine(['--help']), null);
  assert.deepEqual(parseCommandLine(['--seconds', '2.5']), { seconds: 2.5 });
  assert.deepEqual(
    parseCommandLine(['--context=kind', '--master-url=http://10.0.0.5:8080', '--relay-image=r:1']),
    { existing: { context: 'kind', masterUrl: 'http://10.0.0.5:8080', relayImage: 'r:1' } },
  );
});

test('what makes no sense is one line that says what to write', () => {
  for (const [args, message] of [
    [['--sekonds', '1'], /--sekonds/],
    [['--seconds', '0'], /a number above 0/],
    [['--seconds', '1e3'], /a number above 0/],
    [['here'], /here/],
    [['--context', 'kind'], /needs --master-url http:\/\/ADDRESS:PORT/],
    [['--context', 'kind', '--master-url', 'ftp://x'], /an http:\/\/ URL is wanted/],
    [['--context', 'kind', '--master-url', 'nonsense'], /an http:\/\/ URL is wanted/],
    [['--master-url', 'http://x'], /goes with --context/],
    [['--relay-image', 'x'], /goes with --context/],
  ] as const) {
    assert.throws(
      () => parseCommandLine(args),
      (error: Error) => {
        assert.ok(error instanceof UsageError);
        assert.match(error.message, message);
        assert.ok(!error.message.includes('\n'));
        return true;
      },
    );
  }
});

test('a Master is started only at an address of this machine', () => {
  assert.equal(ownAddress('http://127.0.0.1:8080'), '127.0.0.1:8080');
  assert.equal(ownAddress('http://127.0.0.1'), '127.0.0.1:80');
  assert.equal(ownAddress('http://192.0.2.1:8080'), undefined);
  assert.equal(ownAddress('http://master.example:8080'), undefined);
});

test('what is being built fits its line', () => {
  for (const binary of [...CONTROL_PLANE_BINARIES, 'helm'] as const) {
    const notice = buildNotice({ binary, state: 'building', seconds: 3599 }, 3_599_000);
    assert.ok(notice.length <= 70, notice);
  }
  assert.equal(
    buildNotice({ binary: 'kube-apiserver', state: 'building', seconds: 83 }, 100_000),
    'building kube-apiserver (2 of 6) 01:23, 01:40 of about 10 min',
  );
});

test('without a token of Master there is no Secret, and nothing refers to one', () => {
  const site = { namespace: 'n', masterUrl: 'http://x' };
  const plain = fleetObjects(site);
  assert.equal(plain.secret, undefined);
  assert.doesNotMatch(JSON.stringify(plain.fleet), /adminTokenFrom|image/);
  const full = fleetObjects({ ...site, adminToken: 't', relayImage: 'r:1' });
  assert.match(JSON.stringify(full.secret), /"admin-token":"t"/);
  assert.match(JSON.stringify(full.fleet), /"image":"r:1".*"adminTokenFrom"/);
});

test('the lines to play with name the namespace where it is not the default', () => {
  assert.equal(fleetLines('default')[0], 'kubectl get wr');
  assert.equal(fleetLines('wavry-demo')[1], 'kubectl -n wavry-demo scale wr demo --replicas=3');
});
