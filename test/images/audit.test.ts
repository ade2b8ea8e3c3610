import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import process from 'node:process';
import { test, type TestContext } from 'node:test';

const ROOT = join(import.meta.dirname, '../..');

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** `npm run audit` against a registry that knows these holes; undefined: one that can't tell. */
async function audit(
  context: TestContext,
  holes: Readonly<Record<string, string>> | undefined,
): Promise<Outcome> {
  const registry = createServer((request, response) => {
    const asked = request.url === '/-/npm/v1/security/advisories/bulk';
    if (!asked || holes === undefined) response.statusCode = asked ? 405 : 404;
    response.setHeader('content-type', 'application/json');
    const advisories = Object.entries(holes ?? {}).map(([name, severity]) => [
      name,
      [{ id: 1, url: 'https://example.com', title: 'a hole', severity, vulnerable_versions: '*' }],
    ]);
    response.end(asked ? JSON.stringify(Object.fromEntries(advisories)) : '{}');
  }).listen(0, '127.0.0.1');
  context.after(() => registry.close());
  await once(registry, 'listening');
  const url = `http://127.0.0.1:${(registry.address() as AddressInfo).port}/`;
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [join(ROOT, 'local/images/audit.ts')],
      {
        cwd: ROOT,
        env: { ...process.env, npm_config_registry: url, npm_config_fetch_retries: '0' },
      },
      (error, stdout, stderr) => resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    );
  });
}

test('npm run audit fails for a grave hole, tells of a lesser one, and of a registry that can’t tell', async (context) => {
  const grave = await audit(context, { undici: 'high' });
  assert.equal(grave.code, 1);
  assert.match(grave.stderr, /^VULNERABLE packages in the images: .*undici \(high\): see /);

  const lesser = await audit(context, { winston: 'moderate' });
  assert.equal(lesser.code, 0);
  assert.match(lesser.stderr, /winston \(moderate\)/);

  assert.deepEqual(await audit(context, {}), {
    code: 0,
    stdout: 'no known vulnerabilities in the packages of the images\n',
    stderr: '',
  });

  const untold = await audit(context, undefined);
  assert.equal(untold.code, 0);
  assert.match(untold.stderr, /^NOT AUDITED/);
});
