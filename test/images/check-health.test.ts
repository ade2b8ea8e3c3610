import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const SCRIPT = fileURLToPath(new URL('../../local/images/rootfs/check-health.mjs', import.meta.url));

test('the health check finds the program at every way to write its address', async (context) => {
  const server = createServer((_request, response) => response.end()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  for (const host of ['127.0.0.1', '[127.0.0.1]', '0.0.0.0', '[0.0.0.0]', '']) {
    const { stdout } = await promisify(execFile)(process.execPath, [SCRIPT, '/health', 'WHERE', '--where'], {
      env: { WHERE: `${host}:${port}` },
    });
    assert.equal(stdout, `http://127.0.0.1:${port}/health answers 200\n`, host);
  }
});
