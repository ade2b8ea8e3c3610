import { readFileSync } from 'node:fs';
import type { WriteStream } from 'node:tty';

import { isStatus, KubeError } from '../kube/kube-error.ts';
import { Resources } from '../kube/resource.ts';
import { relayFleet } from '../specs/names.ts';
import { type Access, openAccess } from './access.ts';
import { type CommandLine, readArguments } from './arguments.ts';
import { CliError, errorLine } from './cli-error.ts';
import { changeDrain, waitUntilGone } from './drain.ts';
import { type EventObject, eventsOf, explain } from './explain.ts';
import { type FleetObject, getFleet, listAll, listFleets } from './fleets.ts';
import { helpText } from './help.ts';
import { paintFor } from './paint.ts';
import { printObjects, printValue } from './print.ts';
import { sessionsText, sessionsValue } from './sessions.ts';
import { statusText } from './status.ts';
import { harmless } from './table.ts';
import { whyText } from './why.ts';

/** One call of `kubectl wavry`. Resolves with the exit code: 0, or 1 as kubectl's for whatever went wrong. */
export async function run(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  stdout: NodeJS.WritableStream,
  stderr: NodeJS.WritableStream,
): Promise<number> {
  let access: Access | undefined;
  try {
    const line = readArguments(args);
    if (line === 'version') {
      stdout.write(`${version()}\n`);
      return 0;
    }
    if ('help' in line) {
      stdout.write(helpText(line.help));
      return 0;
    }
    access = openAccess(line.access, env, version());
    return await new Command(line, access, env, stdout, stderr).run();
  } catch (error) {
    stderr.write(`${errorLine(error)}\n`);
    return 1;
  } finally {
    await access?.close();
  }
}

class Command {
  readonly #line: CommandLine;
  readonly #access: Access;
  readonly #namespace: string;
  readonly #paint: ReturnType<typeof paintFor>;
  readonly #stdout: NodeJS.WritableStream;
  readonly #stderr: NodeJS.WritableStream;

  constructor(
    line: CommandLine,
    access: Access,
    env: Readonly<Record<string, string | undefined>>,
    stdout: NodeJS.WritableStream,
    stderr: NodeJS.WritableStream,
  ) {
    this.#line = line;
    this.#access = access;
    this.#namespace = line.namespace ?? access.namespace;
    this.#paint = paintFor(stdout, env);
    this.#stdout = stdout;
    this.#stderr = stderr;
  }

  run(): Promise<number> {
    const { verb } = this.#line;
    if (verb === 'why') return this.#why();
    return verb === 'drain' || verb === 'undrain' ? this.#drain() : this.#show();
  }

  async #show(): Promise<number> {
    const { verb, output, names, allNamespaces, noHeaders } = this.#line;
    const { fleets, failed } = await this.#fleets();
    if (failed && fleets.length === 0) return 1;
    if (output === 'json' || output === 'yaml' || output === 'name') {
      const single = names.length === 1;
      this.#stdout.write(
        verb === 'sessions' && output !== 'name'
          ? printValue(single ? sessionsValue(fleets)[0] : sessionsValue(fleets), output)
          : printObjects(fleets, output, single),
      );
      return failed ? 1 : 0;
    }
    if (fleets.length === 0) {
      this.#stderr.write(
        allNamespaces ? 'No resources found\n' : `No resources found in ${this.#namespace} namespace.\n`,
      );
      return 0;
    }
    const view = {
      nowMs: Date.now(),
      withNamespace: allNamespaces,
      wide: output === 'wide',
      noHeaders,
      paint: this.#paint,
    };
    this.#stdout.write(
      verb === 'sessions'
        ? sessionsText(fleets, view)
        : statusText(fleets, { ...view, withRelays: names.length > 0 }),
    );
    return failed ? 1 : 0;
  }

  /** Those that are named, or all. One that can't be had doesn't hide the others. */
  async #fleets(): Promise<{ readonly fleets: FleetObject[]; readonly failed: boolean }> {
    const { names, allNamespaces, selector } = this.#line;
    const { client } = this.#access;
    if (names.length === 0) {
      const namespace = allNamespaces ? undefined : this.#namespace;
      return { fleets: await listFleets(client, namespace, selector), failed: false };
    }
    const fleets: FleetObject[] = [];
    let failed = false;
    for (const name of names) {
      try {
        fleets.push(await getFleet(client, this.#namespace, name));
      } catch (error) {
        if (!isStatus(error, 404)) throw error;
        this.#stderr.write(`${errorLine(error)}\n`);
        failed = true;
      }
    }
    return { fleets, failed };
  }

  async #why(): Promise<number> {
    const name = this.#line.names[0]!;
    const { fleet, relay } = await this.#fleetOf(name);
    const nowMs = Date.now();
    const told = explain(fleet, nowMs, relay);
    let events: EventObject[] | undefined;
    let problem: string | undefined;
    try {
      const all = await listAll<EventObject>(this.#access.client, Resources.events, this.#namespace, {
        fieldSelector: `involvedObject.kind=WavryRelay,involvedObject.name=${fleet.metadata.name}`,
      });
      const present = all.filter((event) => isAbout(event, fleet));
      events = eventsOf(present, relay ?? fleet.metadata.name, relay !== undefined);
    } catch (error) {
      if (!(error instanceof KubeError) || error.status === 0) throw error;
      problem = error.message;
    }
    const { output } = this.#line;
    this.#stdout.write(
      output === 'json' || output === 'yaml'
        ? printValue({ ...told, ...(events ? { events: events.map(eventValue) } : {}) }, output)
        : whyText(told, events, problem, { nowMs, columns: widthOf(this.#stdout), paint: this.#paint }),
    );
    return 0;
  }

  /** The name of a fleet, else that of one of its relays. */
  async #fleetOf(name: string): Promise<{ readonly fleet: FleetObject; readonly relay: string | undefined }> {
    const { client } = this.#access;
    try {
      return { fleet: await getFleet(client, this.#namespace, name), relay: undefined };
    } catch (error) {
      const owner = relayFleet(name);
      if (!isStatus(error, 404) || owner === undefined) throw error;
      const fleet = await getFleet(client, this.#namespace, owner).catch(() => undefined);
      if (!fleet) throw error;
      if (!fleet.status?.relays?.some((relay) => relay.name === name)) {
        throw new CliError(
          `${owner} has no relay "${name}" any more; it has ${fleet.status?.relays?.map((relay) => relay.name).join(', ') || 'none'}`,
        );
      }
      return { fleet, relay: name };
    }
  }

  async #drain(): Promise<number> {
    const { client } = this.#access;
    let failed = false;
    const asked: { name: string; uid: string }[] = [];
    for (const name of new Set(this.#line.names.map(plainName))) {
      try {
        const { text, uid } = await changeDrain(client, this.#namespace, name, this.#line);
        this.#stdout.write(`${harmless(text)}\n`);
        asked.push({ name, uid });
      } catch (error) {
        if (error instanceof KubeError && (error.status === 0 || error.status === 401)) throw error;
        this.#stderr.write(`${errorLine(error)}\n`);
        failed = true;
      }
    }
    if (this.#line.wait && this.#line.dryRun === 'none') {
      const { timeoutSeconds } = this.#line;
      await Promise.all(
        asked.map(async (relay) => {
          await waitUntilGone(client, this.#namespace, relay, timeoutSeconds);
          this.#stdout.write(`relay/${relay.name} is gone\n`);
        }),
      );
    }
    return failed ? 1 : 0;
  }
}

/** Of a terminal; undefined for a pipe or a file. */
function widthOf(stream: NodeJS.WritableStream): number | undefined {
  const { isTTY, columns } = stream as Partial<WriteStream>;
  return isTTY === true && columns ? columns : undefined;
}

/** `relay/NAME` and `deployment/NAME` are what other commands print. */
function plainName(name: string): string {
  return name.replace(/^(relay|deployments?(\.apps)?)\//, '');
}

/** Events of an earlier namesake stay for an hour. */
function isAbout(event: EventObject, fleet: FleetObject): boolean {
  const { uid } = (event['involvedObject'] ?? {}) as { uid?: string };
  return uid === undefined || uid === fleet.metadata.uid;
}

function eventValue({ type, reason, message, count, lastTimestamp, eventTime }: EventObject): object {
  return { type, reason, message, count: count ?? 1, lastTimestamp: lastTimestamp ?? eventTime };
}

function version(): string {
  const file = new URL('../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
