import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import koffi from 'koffi';
import { SO_ATTACH_REUSEPORT_CBPF } from '../../../relay/datapath/libc.ts';
import { probe } from '../../../relay/datapath/probe.ts';
import { startRig } from './datapath-rig.ts';
import { libc } from './native-sockets.ts';

test('this kernel coalesces and segments', () => {
  assert.deepEqual(probe(libc), { coalescing: true, segmenting: true });
});

test('a kernel that ignores the control message, as those before 4.18 do, is found out', () => {
  const old = { ...libc, sendmmsg: withoutControl };
  assert.deepEqual(probe(old), { coalescing: true, segmenting: false });
});

test('a kernel without UDP_GRO is found out', () => {
  const old: typeof libc = {
    ...libc,
    setsockopt: (fd, level, name, value, length) =>
      level === 17 && name === 104 ? -1 : libc.setsockopt(fd, level, name, value, length),
    errno: () => 92,
  };
  assert.deepEqual(probe(old), { coalescing: false, segmenting: true });
});

test('where recvmmsg is forbidden the probe says so and leaves nothing open', () => {
  const forbidden = { ...libc, recvmmsg: () => -1, errno: () => 1 };
  assert.throws(() => probe(forbidden), /did not come in with recvmmsg/);
});

test('packets that come later than the call that sent them returns are waited for', () => {
  let calls = 0;
  const slow: typeof libc = {
    ...libc,
    recvmmsg: (fd, messages, count, flags, timeout) =>
      calls++ % 2 === 0 ? -1 : libc.recvmmsg(fd, messages, Math.min(count, 1), flags, timeout),
    errno: () => 11,
  };
  assert.deepEqual(probe(slow), { coalescing: true, segmenting: true });
});

test('where packets can not be steered auto goes on with one worker, and several that were asked for are refused', async (t) => {
  const real = { ...libc };
  t.mock.method(libc, 'setsockopt', (...call: Parameters<typeof libc.setsockopt>) =>
    call[2] === SO_ATTACH_REUSEPORT_CBPF ? -1 : real.setsockopt(...call),
  );
  t.mock.method(libc, 'errno', () => 92);
  const rig = await startRig({ workers: 2, workersAsked: false });
  t.after(() => rig.stop());
  assert.equal(rig.datapath.workers, 1);
  assert.match(rig.lines.join('\n'), /^warn .*refuses to steer.*one worker forwards/m);
  await assert.rejects(
    startRig({ workers: 2, workersAsked: true }),
    /^DatapathError: --workers 2: .*leave --workers out/,
  );
});

test('without koffi auto falls back to node:dgram and says so, and mmsg is refused', () => {
  const run = spawnSync(
    process.execPath,
    [
      '--import',
      new URL('no-koffi.ts', import.meta.url).href,
      fileURLToPath(new URL('without-koffi.ts', import.meta.url)),
    ],
    { encoding: 'utf8', timeout: 60_000 },
  );
  assert.equal(run.status, 0, run.stderr);
  const report = JSON.parse(run.stdout) as {
    kind: string;
    workers: number;
    lines: string[];
    refusal: string;
  };
  assert.deepEqual([report.kind, report.workers], ['dgram', 1]);
  assert.match(
    report.lines.join('\n'),
    /^warn Relay listening on .*node:dgram, .*best effort, as recvmmsg can't run here: no koffi for this machine; 1 worker/m,
  );
  assert.match(report.refusal, /^--datapath mmsg can't run here: no koffi .*; use --datapath auto/);
});

/** sendmmsg of a kernel that doesn't know UDP_SEGMENT: the control message is as good as not there. */
function withoutControl(fd: number, messages: number, count: number, flags: number): number {
  const view = new DataView(koffi.view(BigInt(messages), 64 * count));
  const lengths = Array.from({ length: count }, (_, i) => view.getBigUint64(i * 64 + 40, true));
  for (let i = 0; i < count; i++) view.setBigUint64(i * 64 + 40, 0n, true);
  const sent = libc.sendmmsg(fd, messages, count, flags);
  for (const [i, length] of lengths.entries()) view.setBigUint64(i * 64 + 40, length, true);
  return sent;
}
