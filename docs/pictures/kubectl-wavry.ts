import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import process from 'node:process';

import { fleetOf, MASTER_URL, OperatorCluster, ROOT } from '../../test/e2e/operator/operator-cluster.ts';
import { until } from '../../test/e2e/operator/until.ts';
import { terminalPicture } from './terminal-svg.ts';
import { writtenToTerminal } from './terminal.ts';

/** Pictures of what `kubectl wavry` shows, from a cluster with real relays under real sessions. */
const bin = mkdtempSync(join(tmpdir(), 'pictures-'));
symlinkSync(join(ROOT, 'operator/kubectl/bin/kubectl-wavry.js'), join(bin, 'kubectl-wavry'));
const operator = await OperatorCluster.start();
try {
  symlinkSync(operator.cluster.binaries.kubectl, join(bin, 'kubectl'));
  await Promise.all([operator.startMaster(), operator.installOperator()]);
  await operator.apply(
    fleetOf('eu-west', { replicas: 3, region: 'eu-west-1' }),
    fleetOf('us-east', { image: 'ghcr.io/wavry/wavry-rely:0.1.0', replicas: 2, region: 'us-east-1' }),
  );
  await operator.whenServing('eu-west');
  await operator.whenCondition('us-east', 'Ready', { reason: 'ImageUnavailable' });
  operator.spawn('local/peers/main.ts', [
    `--master=${MASTER_URL}`,
    '--sessions=60',
    '--rate=5',
    '--duration=600',
  ]);
  const relay = await until('each relay to hold sessions', async () => {
    const relays = (await operator.fleet('eu-west')).status?.relays ?? [];
    return relays.every((relay) => (relay.sessions ?? 0) > 0) && relays[1];
  });
  await terminal(`kubectl wavry drain ${relay.name}`);
  await until('the drain', async () => {
    const relays = (await operator.fleet('eu-west')).status?.relays ?? [];
    return relays.some((entry) => entry.name === relay.name && entry.state === 'Draining');
  });
  await draw('kubectl-wavry-status', 'kubectl wavry status', 'kubectl wavry status eu-west');
  await draw('kubectl-wavry-sessions', 'kubectl wavry sessions');
  await draw('kubectl-wavry-why', 'kubectl wavry why us-east');
} finally {
  await operator.stop();
  rmSync(bin, { recursive: true });
}

async function draw(name: string, ...commands: readonly string[]): Promise<void> {
  const shown: string[] = [];
  for (const command of commands) {
    shown.push(`$ \u{1b}[1m${command}\u{1b}[0m\n${await terminal(command)}`);
  }
  const text = shown.join('\n');
  writeFileSync(join(import.meta.dirname, `${name}.svg`), terminalPicture(commands.join('; '), text));
  console.log(text);
}

function terminal(command: string): Promise<string> {
  const PATH = [bin, dirname(process.execPath), process.env['PATH']].join(delimiter);
  const env = { ...process.env, PATH, KUBECONFIG: operator.cluster.kubeconfig };
  return writtenToTerminal(command, { columns: 124, rows: 50 }, env);
}
