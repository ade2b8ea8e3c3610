import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { after, before, suite, test } from 'node:test';

import { run } from '../../../operator/kubectl/run.ts';
import { json, StandInApiServer } from '../kube/stand-in-api-server.ts';

const FLEET = {
  metadata: { name: 'eu', namespace: 'default', uid: 'u', creationTimestamp: '2026-01-01T00:00:00Z' },
  spec: {},
};

suite('kubectl wavry', () => {
  let server: StandInApiServer;
  before(async () => {
    server = await StandInApiServer.start(({ path }, response) => {
      const name = path.split('/').at(-1)!;
      if (name === 'eu') json(response, FLEET);
      else if (name === 'wavryrelays') json(response, { items: [FLEET] });
      else json(response, { reason: 'NotFound', message: `wavryrelays "${name}" not found` }, 404);
    });
  });
  after(() => server.stop());

  async function wavry(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
    const written = { out: '', err: '' };
    const into = (name: 'out' | 'err'): Writable =>
      new Writable({
        write: (chunk: Buffer, _, done) => {
          written[name] += chunk.toString();
          done();
        },
      });
    const flags = [`--server=${server.url}`, '--insecure-skip-tls-verify'];
    const code = await run([...args, ...flags], { HOME: '/nowhere' }, into('out'), into('err'));
    return { code, ...written };
  }

  test('says of a fleet that is missing nothing but that', async () => {
    for (const verb of ['status', 'sessions']) {
      for (const format of ['json', 'yaml', 'name', 'wide']) {
        const answer = await wavry(verb, 'us', '-o', format);
        assert.deepEqual(
          answer,
          { code: 1, out: '', err: 'Error from server (NotFound): wavryrelays "us" not found\n' },
          `${verb} -o ${format}`,
        );
      }
    }
  });

  test('shows those that are there', async () => {
    const { code, out } = await wavry('sessions', 'eu', 'us', '-o', 'json');
    assert.equal(code, 1);
    assert.deepEqual(
      (JSON.parse(out) as { name: string }[]).map(({ name }) => name),
      ['eu'],
    );
  });

  test('takes an empty namespace for none', async () => {
    const { code, out } = await wavry('status', '-n', '', '-o', 'name');
    assert.deepEqual([code, out], [0, 'wavryrelay.wavry.dev/eu\n']);
    assert.equal(server.requests.at(-1)?.path, '/apis/wavry.dev/v1alpha1/namespaces/default/wavryrelays');
  });
});
