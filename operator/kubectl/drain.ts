import { setTimeout as sleep } from 'node:timers/promises';

import { Annotation, KIND, Label } from '../api/meta.ts';
import type { KubeClient } from '../kube/client.ts';
import { isStatus } from '../kube/kube-error.ts';
import type { KubeObject } from '../kube/object.ts';
import { resourcePath, Resources } from '../kube/resource.ts';
import type { CommandLine } from './arguments.ts';
import { CliError } from './cli-error.ts';

const POLL_MS = 1000;

/** Asks for a drain, or for none any more, and says what will come of it. */
export async function changeDrain(
  client: KubeClient,
  namespace: string,
  name: string,
  line: CommandLine,
): Promise<{ readonly text: string; readonly uid: string }> {
  const relay = await getRelay(client, namespace, name);
  const wanted = line.verb === 'drain';
  const asked = relay.metadata.annotations?.[Annotation.drainRequested] === 'true';
  const since = relay.metadata.annotations?.[Annotation.drainingSince];
  const reason = relay.metadata.annotations?.[Annotation.drainReason];
  const { uid } = relay.metadata;
  const dry = line.dryRun === 'none' ? '' : ` (${line.dryRun === 'server' ? 'server dry run' : 'dry run'})`;

  if (!wanted && !asked) {
    if (since === undefined) return { text: `relay/${name} is not asked to drain`, uid };
    throw new CliError(
      reason === 'Rollout'
        ? `relay/${name} drains because the rollout replaces it; set the spec back to keep this revision`
        : `relay/${name} drains because fewer relays are wanted; raise spec.replicas to take it back: "kubectl scale wavryrelay -n ${namespace} ${relay.metadata.labels?.[Label.fleet] ?? ''} --replicas=…"`,
    );
  }
  if (asked !== wanted && line.dryRun !== 'client')
    await write(client, relay, wanted, line.dryRun === 'server');

  if (!wanted) return { text: `relay/${name} is no longer asked to drain${dry}`, uid };
  if (since !== undefined) return { text: `relay/${name} drains already, since ${since}${dry}`, uid };
  return {
    text: asked
      ? `relay/${name} was asked to drain already${dry}`
      : `relay/${name} is asked to drain: it does once a relay that takes its place serves${dry}`,
    uid,
  };
}

/** Resolves when the relay is gone. Throws CliError when that takes longer than `timeoutSeconds` (0: any time). */
export async function waitUntilGone(
  client: KubeClient,
  namespace: string,
  relay: { readonly name: string; readonly uid: string },
  timeoutSeconds: number,
): Promise<void> {
  const deadline = timeoutSeconds === 0 ? Infinity : performance.now() + timeoutSeconds * 1000;
  for (;;) {
    try {
      const found = await client.get<KubeObject>(Resources.deployments, namespace, relay.name);
      if (found.metadata.uid !== relay.uid) return;
      if (found.metadata.annotations?.[Annotation.drainRequested] !== 'true') {
        throw new CliError(`relay/${relay.name} is no longer asked to drain: somebody took that back`);
      }
    } catch (error) {
      if (isStatus(error, 404)) return;
      throw error;
    }
    if (performance.now() >= deadline) {
      throw new CliError(
        `timed out waiting for relay/${relay.name} to go; it still drains: "kubectl wavry why -n ${namespace} ${relay.name}"`,
      );
    }
    await sleep(POLL_MS);
  }
}

async function getRelay(client: KubeClient, namespace: string, name: string): Promise<KubeObject> {
  let found: KubeObject;
  try {
    found = await client.get<KubeObject>(Resources.deployments, namespace, name);
  } catch (error) {
    if (!isStatus(error, 404)) throw error;
    throw new CliError(
      `relay "${name}" not found in namespace "${namespace}"; "kubectl wavry sessions -n ${namespace}" lists them`,
    );
  }
  const ours = found.metadata.ownerReferences?.some(
    (owner) => owner.kind === KIND && owner.controller === true,
  );
  if (!ours || found.metadata.labels?.[Label.relay] === undefined) {
    throw new CliError(`Deployment "${name}" in namespace "${namespace}" is no relay of a WavryRelay`);
  }
  return found;
}

async function write(client: KubeClient, relay: KubeObject, wanted: boolean, dryRun: boolean): Promise<void> {
  const { namespace, name, uid } = relay.metadata;
  await client.call('PATCH', resourcePath(Resources.deployments, namespace, name), {
    query: { fieldManager: 'kubectl-wavry', dryRun: dryRun ? 'All' : undefined },
    contentType: 'application/merge-patch+json',
    // With its UID, so that a namesake made meanwhile is left alone.
    body: { metadata: { uid, annotations: { [Annotation.drainRequested]: wanted ? 'true' : null } } },
  });
}
