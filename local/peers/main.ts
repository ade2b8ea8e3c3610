import process from 'node:process';

import { nthAddress } from './addresses.ts';
import type { BadLeaseReport } from './bad-lease-run.ts';
import { presentBadLeases } from './bad-lease-run.ts';
import type { CommandLine, LeaseOrigin } from './command-line.ts';
import { HELP, UsageError, parseCommandLine } from './command-line.ts';
import type { LeaseSource } from './lease-source.ts';
import { leasesFromMaster, mintedLeases } from './lease-source.ts';
import type { PeersSnapshot } from './peers-snapshot.ts';
import { startPeers } from './peers.ts';
import { makeReport, progressLine, summary } from './report.ts';

/** Exit code of a command line that can't be followed (EX_USAGE of sysexits.h). */
const EXIT_USAGE = 64;

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  let commandLine;
  try {
    commandLine = parseCommandLine(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`peers: ${error.message}`);
    return EXIT_USAGE;
  }
  if (!commandLine) {
    process.stdout.write(HELP);
    return 0;
  }
  try {
    const leases = leaseSource(commandLine.origin);
    return commandLine.badLease ? await badLeases(commandLine, leases) : await traffic(commandLine, leases);
  } catch (error) {
    console.error(`peers: ${(error as Error).message}`);
    return 1;
  }
}

async function traffic(commandLine: CommandLine, leases: LeaseSource): Promise<number> {
  const screen = commandLine.json ? process.stderr : process.stdout;
  let before: PeersSnapshot['tally'] | undefined;
  const running = startPeers({
    ...commandLine.peers,
    leases,
    onSecond: (now) => {
      const line = progressLine(now, before, 1);
      before = now.tally;
      if (screen.isTTY) screen.write(`\r${line.slice(0, (screen.columns ?? 80) - 1)}\x1b[K`);
      else screen.write(`${line}\n`);
    },
  });
  const stop = (): void => void running.stop();
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  const report = makeReport(await running.done, commandLine.maxLossPercent);
  process.off('SIGINT', stop);
  process.off('SIGTERM', stop);
  if (screen.isTTY) screen.write('\r\x1b[K');
  if (commandLine.json) console.log(JSON.stringify(report, null, 2));
  else console.log(summary(report));
  return report.ok ? 0 : 1;
}

async function badLeases(commandLine: CommandLine, leases: LeaseSource): Promise<number> {
  const from = commandLine.bind && nthAddress(commandLine.bind, 0);
  const report = await presentBadLeases(commandLine.badLease!, commandLine.peers.sessions, leases, from);
  console.log(commandLine.json ? JSON.stringify(report, null, 2) : badLeaseSummary(report));
  return report.ok ? 0 : 1;
}

function badLeaseSummary(report: BadLeaseReport): string {
  const rejected = Object.entries(report.rejected).map(([reason, count]) => `${count} rejected (${reason})`);
  const got = [...rejected, `${report.silent} not answered`, `${report.accepted} accepted`].join(', ');
  return [
    `presented ${report.presented} leases: ${report.kind}`,
    `expected  ${report.expected}`,
    `got       ${got}`,
    ...report.problems.map((problem) => `problem   ${problem}`),
  ].join('\n');
}

function leaseSource(origin: LeaseOrigin): LeaseSource {
  return 'master' in origin
    ? leasesFromMaster(origin.master)
    : mintedLeases(origin.relay, origin.relayId, origin.keyFile);
}
