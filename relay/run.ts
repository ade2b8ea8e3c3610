import { performance } from 'node:perf_hooks';
import process from 'node:process';

import { ConfigError } from './config/config-error.ts';
import type { Config } from './config/config.ts';
import type { CommandLine } from './config/parse.ts';
import { parseCommandLine } from './config/parse.ts';
import { formatSocketAddress } from './config/text-formats.ts';
import { VERSION } from './config/version.ts';
import type { ControlLog } from './control/control-log.ts';
import type { ControlPlane } from './control/control-plane.ts';
import { startControlPlane } from './control/control-plane.ts';
import { ControlError, layGroundwork } from './control/groundwork.ts';
import { startHealthServer } from './control/health-server.ts';
import { createLog } from './control/log.ts';
import type { MetricSources } from './control/metrics.ts';
import { startingStatus } from './control/relay-status.ts';
import { startStatistics } from './control/statistics.ts';
import type { Datapath } from './datapath/datapath.ts';
import { DatapathError } from './datapath/datapath-error.ts';
import { startDatapath } from './datapath/start-datapath.ts';
import { defaultWorkers } from './datapath/default-workers.ts';

const EXIT_FAILED = 1;
/** EX_USAGE of sysexits.h. */
const EXIT_USAGE = 64;
/** An end that takes longer than this is cut short. */
const END_WITHIN_MS = 5000;
/** What a start may still take once it is not wanted any more. */
const START_WITHIN_MS = 2000;
/** A terminal's Ctrl-C reaches npm and the relay, and some versions of npm pass it on: one wish, two signals. */
const SAME_WISH_MS = 100;

/** The relay from its command line to its last log line. Resolves with the exit code; throws nothing that a user can cause. */
export async function main(): Promise<number> {
  // Whoever read our output may be gone; the relay forwards on.
  process.stdout.on('error', () => {});
  process.stderr.on('error', () => {});

  let commandLine: CommandLine;
  try {
    commandLine = parseCommandLine(process.argv.slice(2), process.env, {
      workers: defaultWorkers(),
      memoryMib: Math.floor(process.constrainedMemory() / 2 ** 20),
    });
  } catch (error) {
    if (error instanceof ConfigError) return complain(error.message, EXIT_USAGE);
    throw error;
  }
  if (commandLine.kind === 'text') {
    process.stdout.write(commandLine.text);
    return 0;
  }
  const { config, warnings } = commandLine;
  const { log, close } = createLog({
    level: config.logLevel,
    format: config.logFormat,
    secrets: config.masterToken === undefined ? [] : [config.masterToken],
  });
  announce(config, warnings, log);
  const crashed = watchCrashes(log);
  const code = await run(config, log, crashed).catch((error: unknown) => {
    log('error', `Unexpected error, ending: ${describe(error)}`);
    return EXIT_FAILED;
  });
  await close();
  return code;
}

/** Health first, so that a relay that waits for something says so (wire reference 5, fault 8). Resolves with the exit code. */
async function run(config: Config, log: ControlLog, crashed: Promise<number>): Promise<number> {
  let relayId = config.relayId ?? '';
  let datapath: Datapath | undefined;
  let controlPlane: ControlPlane | undefined;
  let hasMasterKey = (): boolean => false;
  const signals = watchSignals(log);
  const sources: MetricSources = {
    status: () => controlPlane?.status() ?? startingStatus(relayId),
    datapath: () => datapath,
    hasMasterKey: () => hasMasterKey(),
    maxSessions: config.maxSessions,
    uptimeMs: () => performance.now(),
  };

  await using ending = new AsyncDisposableStack();
  try {
    const health = await startHealthServer(config.healthListen, sources, log);
    ending.defer(() => health.close());
    log('info', `relay health endpoint listening on http://${formatSocketAddress(health.address)}`);

    const groundwork = await layGroundwork(config, log);
    ending.defer(async () => {
      if (!controlPlane) await groundwork.close();
    });
    relayId = groundwork.relayId;
    hasMasterKey = () => !config.allowInsecureDev && groundwork.masterKeys.hasKey;
    log('info', `Relay ID: ${relayId}`);

    const { restored, keys } = groundwork;
    const running = await startDatapath({ config, relayId, restored, keys, log });
    datapath = running;
    ending.defer(() => running.stop());

    const statistics = startStatistics(config.statsLogIntervalMs, sources, log);
    ending.defer(() => statistics.finish());

    const plane = startControlPlane({ config, groundwork, datapath: running, log });
    controlPlane = plane;
    // The workers first: they publish their last records as they end, and the plane writes them out.
    ending.defer(async () => {
      await running.stop();
      await plane.stop();
    });
    signals.passTo((name) => plane.signal(name));

    const code = await Promise.race([plane.finished, crashed]);
    exitWithin(END_WITHIN_MS, code, log);
    return code;
  } catch (error) {
    if (error instanceof ControlError || error instanceof DatapathError) {
      exitWithin(END_WITHIN_MS, error.exitCode, log);
      return complain(error.message, error.exitCode);
    }
    throw error;
  }
}

function announce(config: Config, warnings: readonly string[], log: ControlLog): void {
  log('info', `Starting wavry-relay v${VERSION}`);
  for (const warning of warnings) log('warn', warning);
  if (config.allowInsecureDev) {
    log(
      'warn',
      'INSECURE DEVELOPMENT MODE: leases are taken without checking their signature, anybody may use this relay',
    );
  }
  log('info', 'Relay limits', {
    max_sessions: config.maxSessions,
    idle_timeout_secs: config.idleTimeoutMs / 1000,
    lease_duration_secs: config.leaseDurationMs / 1000,
    ip_rate_limit_pps: config.ipRateLimitPps,
    identity_rate_limit_pps: config.identityRateLimitPps,
    load_shed_threshold_pct: config.loadShedThresholdPct,
    workers: config.workers,
  });
}

/** What comes before the control plane runs is kept for it; a start that never gets there is ended. */
function watchSignals(log: ControlLog): { passTo(listener: (name: string) => void): void } {
  let pass: ((name: string) => void) | undefined;
  const kept: string[] = [];
  let lastMs = -Infinity;
  const wish = (name: string): void => {
    const nowMs = performance.now();
    const again = nowMs - lastMs < SAME_WISH_MS;
    lastMs = nowMs;
    if (again) return;
    if (pass) return pass(name);
    kept.push(name);
    setTimeout(() => {
      if (!pass) process.exit(EXIT_FAILED);
    }, START_WITHIN_MS).unref();
  };
  process.on('SIGTERM', wish);
  process.on('SIGINT', wish);
  process.on('SIGHUP', (name) => {
    // A terminal that closes means "end"; a daemon's SIGHUP means "read again", which happens by itself.
    if (process.stdin.isTTY) wish(name);
    else
      log(
        'info',
        'SIGHUP changes nothing: keys, token and control files are read again whenever they change',
      );
  });
  return {
    passTo: (listener) => {
      pass = listener;
      for (const name of kept) listener(name);
    },
  };
}

/** Resolves with the exit code once something threw that nobody caught. */
function watchCrashes(log: ControlLog): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  process.on('uncaughtException', (error: unknown) => {
    log('error', `Unexpected error, ending: ${describe(error)}`);
    exitWithin(END_WITHIN_MS, EXIT_FAILED, log);
    resolve(EXIT_FAILED);
  });
  return promise;
}

function exitWithin(milliseconds: number, code: number, log: ControlLog): void {
  setTimeout(() => {
    log('error', `The end took more than ${milliseconds / 1000} s and is cut short`);
    process.exit(code === 0 ? EXIT_FAILED : code);
  }, milliseconds).unref();
}

/** Its text and where it was thrown, on one line. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const place = error.stack?.split('\n').find((line) => /^\s+at /.test(line)) ?? '';
  return `${error.name}: ${error.message}${place.replace(/^\s+at /, ' at ')}`;
}

function complain(message: string, exitCode: number): number {
  process.stderr.write(`wavry-relay: ${message.replaceAll(/\s*\n\s*/g, ' ')}\n`);
  return exitCode;
}
