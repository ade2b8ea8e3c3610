import { join } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';

import { CONTROL_PLANE_ADDRESS } from './addresses.ts';
import { type BinaryProgress, findBinaries } from './binaries.ts';
import { startCluster } from './cluster.ts';
import { OWN_IMAGES } from './own-images.ts';
import { shellLines } from './shell-lines.ts';

const MASTER = `${CONTROL_PLANE_ADDRESS}:8080`;
const MASTER_PROGRAM = join(import.meta.dirname, '../master/main.ts');
/** Nobody outside of the cluster's network reaches that Master. */
const ADMIN_TOKEN = 'development';

/** `npm run cluster`: an empty cluster in the foreground, with a Master beside it, until Ctrl-C. */
const { values } = parseArgs({
  options: { nodes: { type: 'string', default: '2' }, help: { type: 'boolean', short: 'h' } },
});
if (values.help) {
  console.log(
    'usage: npm run cluster -- [--nodes N]\nStarts an empty local Kubernetes cluster with a development Master beside it, and stops both on Ctrl-C.',
  );
  process.exit(0);
}
const nodes = Number(values.nodes);
if (!Number.isInteger(nodes) || nodes < 1) {
  console.error(`--nodes: a whole number from 1 on, not "${values.nodes}"`);
  process.exit(2);
}

const aborted = new AbortController();
const ended = Promise.withResolvers<void>();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => {
    aborted.abort();
    ended.resolve();
  });

try {
  const began = performance.now();
  const onProgress = ({ binary, state, seconds }: BinaryProgress): void => {
    if (state === 'building' && seconds % 10 === 0) console.error(`building ${binary} (${seconds} s)`);
    if (state === 'built') console.error(`built ${binary} in ${seconds} s`);
  };
  const { helm } = await findBinaries(['helm'], { signal: aborted.signal, onProgress });
  const cluster = await startCluster({ nodes, images: OWN_IMAGES, signal: aborted.signal, onProgress });
  const master = cluster.spawn(
    process.execPath,
    [MASTER_PROGRAM, `--listen=${MASTER}`, '--allow-public-bind', `--admin-token=${ADMIN_TOKEN}`],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  console.error(
    `The cluster is up (${((performance.now() - began) / 1000).toFixed(1)} s); logs: ${cluster.logDirectory}`,
  );
  console.error(
    `Its relay and operator images are this checkout. A development Master is at http://${MASTER} for pods,`,
  );
  console.error(`with the admin token "${ADMIN_TOKEN}". Ctrl-C ends everything. In another terminal:\n`);
  for (const line of shellLines(cluster.kubeconfig, [cluster.binaries.kubectl, helm])) console.log(line);
  await ended.promise;
  master.kill();
  await cluster.stop();
} catch (error) {
  if (!aborted.signal.aborted) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}
