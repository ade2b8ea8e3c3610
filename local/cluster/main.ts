import process from 'node:process';
import { parseArgs } from 'node:util';
import { startCluster } from './cluster.ts';

/** `npm run cluster`: a cluster in the foreground, until Ctrl-C. */
const { values } = parseArgs({
  options: { nodes: { type: 'string', default: '2' }, help: { type: 'boolean', short: 'h' } },
});
if (values.help) {
  console.log(
    'usage: npm run cluster -- [--nodes N]\nStarts a local Kubernetes cluster and stops it on Ctrl-C.',
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
  const cluster = await startCluster({
    nodes,
    signal: aborted.signal,
    onProgress: ({ binary, state, seconds }) => {
      if (state === 'building' && seconds % 10 === 0) console.error(`building ${binary} (${seconds} s)`);
      if (state === 'built') console.error(`built ${binary} in ${seconds} s`);
    },
  });
  console.error(
    `the cluster is up (${((performance.now() - began) / 1000).toFixed(1)} s); logs: ${cluster.logDirectory}`,
  );
  console.log(`export KUBECONFIG=${cluster.kubeconfig}`);
  await ended.promise;
  await cluster.stop();
} catch (error) {
  if (!aborted.signal.aborted) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}
