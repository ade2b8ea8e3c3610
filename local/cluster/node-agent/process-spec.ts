import { join } from 'node:path';
import type { ProcessSpec } from './container-process.ts';
import type { PodPlace } from './downward.ts';
import { ConfigurationError, containerCommand, containerEnvironment } from './environment.ts';
import type { ImageDefinition } from './images.ts';
import type { PodRuntime } from './pod-runtime.ts';
import type { Container, Pod } from './resources.ts';
import type { PodVolumes } from './volumes.ts';

/** What of a pod its containers share. */
export interface PodSurroundings {
  /** Of the pod: its `hosts` file is there. */
  directory: string;
  place: PodPlace;
  /** File of its network namespace. */
  network: string;
  volumes: PodVolumes;
}

/**
 * The process a container stands for.
 *
 * @throws ConfigurationError when something it refers to isn't there.
 */
export async function processSpec(
  pod: Pod,
  container: Container,
  image: ImageDefinition,
  runtime: PodRuntime,
  { directory, place, network, volumes }: PodSurroundings,
): Promise<Omit<ProcessSpec, 'logFile'>> {
  const hostname = podHostname(pod, runtime.nodeName);
  const definition = 'simulated' in image ? { command: [] } : image;
  const given = { image: definition.env ?? {}, apiServer: runtime.apiServer, hostname };
  const env = containerEnvironment(pod, container, given, place, runtime.objects);
  const mounts = await volumes.mounts(container);
  if (!mounts.some((mount) => mount.target === '/etc/hosts'))
    mounts.push({ source: join(directory, 'hosts'), target: '/etc/hosts', readOnly: false });
  const command = containerCommand(container, definition, env);
  if (command.length === 0 && !('simulated' in image))
    throw new ConfigurationError('the image has no command and the container names none');
  return {
    command,
    env,
    mounts,
    hostname,
    workingDir: container.workingDir ?? definition.workingDir ?? '/',
    network,
    ownInit: pod.spec.shareProcessNamespace !== true,
    readOnlyRoot: container.securityContext?.readOnlyRootFilesystem ?? false,
  };
}

export function podHostname(pod: Pod, nodeName: string): string {
  return pod.spec.hostNetwork ? nodeName : (pod.spec.hostname ?? pod.metadata.name).slice(0, 63);
}

/** /etc/hosts, which the kubelet manages too. */
export function hostsFile(pod: Pod, address: string, hostname: string): string {
  const lines = ['127.0.0.1\tlocalhost', '::1\tlocalhost ip6-localhost', `${address}\t${hostname}`];
  for (const { ip, hostnames = [] } of pod.spec.hostAliases ?? [])
    lines.push(`${ip}\t${hostnames.join('\t')}`);
  return `${lines.join('\n')}\n`;
}
