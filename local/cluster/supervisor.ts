import { execFileSync } from 'node:child_process';
import { mkdirSync, readlinkSync, readFileSync } from 'node:fs';
import { request } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import process from 'node:process';
import { API_SERVER_PORT, CONTROL_PLANE_ADDRESS, MAX_NODES, nodeAddress } from './addresses.ts';
import { ByteRelay } from './byte-relay.ts';
import { findCommands } from './commands.ts';
import { Component } from './component.ts';
import { API_SERVER_NAMES, componentFlags, COMPONENTS, type ComponentName } from './control-plane.ts';
import { writeKubeconfig } from './kubeconfig.ts';
import { Network } from './network.ts';
import { NodeAgent } from './node-agent/agent.ts';
import { ApiClient } from './node-agent/api-client.ts';
import { Reflector } from './node-agent/reflector.ts';
import { createPki, type KeyPair, type Pki } from './pki.ts';
import type {
  FromSupervisor,
  SupervisorRequest,
  SupervisorSetup,
  ToSupervisor,
} from './supervisor-protocol.ts';

/**
 * Process 1 of a cluster's namespaces: network, control plane and node agent. `cluster.ts` starts it and is its owner;
 * when the owner goes, whatever the reason, it ends, and the kernel ends everything else with it.
 */
let supervisor: Supervisor | undefined;

process.once('disconnect', () => process.exit(0));
process.on('message', (message: ToSupervisor) => void receive(message));
// The number by which the owner knows this process is the one in the /proc that is still the owner's.
tell({ pid: Number(readlinkSync('/proc/self')) });

async function receive(message: ToSupervisor): Promise<void> {
  if ('setup' in message) {
    try {
      supervisor = await start(message.setup);
      tell({ ready: true });
    } catch (error) {
      tell({ failed: (error as Error).message });
    }
    return;
  }
  try {
    await supervisor!.handle(message.request);
    tell({ id: message.id });
  } catch (error) {
    tell({ id: message.id, error: (error as Error).message });
  }
}

function tell(message: FromSupervisor): void {
  if (process.connected) process.send!(message);
}

interface Supervisor {
  handle(request: SupervisorRequest): Promise<void>;
}

async function start(setup: SupervisorSetup): Promise<Supervisor> {
  const commands = findCommands();
  execFileSync(commands.mount, ['-t', 'proc', 'proc', '/proc']);
  mkdirSync(setup.logs, { recursive: true });
  const network = new Network(join(setup.directory, 'net'), commands);
  const [pki] = await Promise.all([
    createPki(join(setup.directory, 'pki'), {
      openssl: commands.openssl,
      apiServerNames: API_SERVER_NAMES,
      kubeletAddresses: Array.from({ length: MAX_NODES }, (_, index) => nodeAddress(index + 1)),
    }),
    network.setUpCluster(),
  ]);

  const server = `https://${CONTROL_PLANE_ADDRESS}:${API_SERVER_PORT}`;
  const kubeconfig = (name: string, user: string, identity: KeyPair): string => {
    const path = join(setup.directory, `${name}.kubeconfig`);
    writeKubeconfig(path, { server, caFile: pki.ca.cert, identity, user });
    return path;
  };
  kubeconfig('inside', 'kubernetes-admin', pki.admin);
  writeKubeconfig(join(setup.directory, 'kubeconfig'), {
    server: setup.server,
    caFile: pki.ca.cert,
    identity: pki.admin,
    user: 'kubernetes-admin',
  });
  const components = makeComponents(setup, pki, {
    controllerManagerKubeconfig: kubeconfig(
      'controller-manager',
      'controller-manager',
      pki.controllerManager,
    ),
    schedulerKubeconfig: kubeconfig('scheduler', 'scheduler', pki.scheduler),
  });
  await components.etcd.start();
  await components['kube-apiserver'].start();
  await new ByteRelay({ host: CONTROL_PLANE_ADDRESS, port: API_SERVER_PORT }).listen({
    path: setup.apiSocket,
  });

  const agent = new NodeAgent({
    server,
    network,
    commands,
    directory: setup.directory,
    nodes: setup.nodes,
    images: setup.images,
    caFile: pki.ca.cert,
    identity: pki.nodeAgent,
    serving: pki.kubelet,
    apiServer: { host: CONTROL_PLANE_ADDRESS, port: API_SERVER_PORT },
    heartbeatMs: Math.min(10_000, ((setup.settings.nodeMonitorGracePeriod ?? 50) * 1000) / 4),
    backOff: setup.restartBackOff,
    onTrouble: (trouble) => tell({ trouble }),
  });
  await Promise.all([
    components['kube-controller-manager'].start(),
    components['kube-scheduler'].start(),
    agent.start(),
  ]);

  await controllersRun(server, pki);

  return {
    async handle(request) {
      switch (request.kind) {
        case 'stopComponent':
          return components[request.name].stop(request.signal);
        case 'startComponent':
          return components[request.name].start();
        case 'setImages':
          return agent.setImages(request.images);
        case 'setNodeState':
          return agent.setNodeState(request.node, request.state);
      }
    },
  };
}

/** Until the controllers have made the default service account, the API server refuses every pod. */
async function controllersRun(server: string, pki: Pki): Promise<void> {
  const client = new ApiClient({ server, ...identityOf(pki.admin, pki) });
  const accounts = new Reflector(client, '/api/v1/namespaces/default/serviceaccounts', {
    onChange: (account) => {
      if (account.metadata.name === 'default') made.resolve();
    },
    onDelete: () => undefined,
  });
  const made = Promise.withResolvers<void>();
  await accounts.start();
  await made.promise;
  accounts.stop();
  await client.close();
}

function identityOf(identity: KeyPair, pki: Pki): { ca: Buffer; cert: Buffer; key: Buffer } {
  return {
    ca: readFileSync(pki.ca.cert),
    cert: readFileSync(identity.cert),
    key: readFileSync(identity.key),
  };
}

function makeComponents(
  setup: SupervisorSetup,
  pki: Pki,
  kubeconfigs: { controllerManagerKubeconfig: string; schedulerKubeconfig: string },
): Record<ComponentName, Component> {
  const flags = componentFlags(setup.settings, pki, {
    ...kubeconfigs,
    etcdData: join(setup.directory, 'etcd'),
    logs: setup.logs,
  });
  const admin = identityOf(pki.admin, pki);
  const ready: Record<ComponentName, () => Promise<void>> = {
    etcd: () => accepts(2379),
    'kube-apiserver': () => answers(`https://127.0.0.1:${API_SERVER_PORT}/readyz`, admin),
    'kube-controller-manager': () =>
      answers('https://127.0.0.1:10257/healthz', { rejectUnauthorized: false }),
    'kube-scheduler': () => Promise.resolve(),
  };
  const entries = COMPONENTS.map((name) => [
    name,
    new Component({
      name,
      command: setup.binaries[name],
      args: flags[name],
      logFile: join(setup.logs, `${name}.log`),
      ready: ready[name],
      onCrash: (trouble) => tell({ trouble }),
    }),
  ]);
  return Object.fromEntries(entries) as Record<ComponentName, Component>;
}

function accepts(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.destroy();
      resolve();
    });
  });
}

function answers(
  url: string,
  tls: { rejectUnauthorized?: boolean; ca?: Buffer; cert?: Buffer; key?: Buffer },
): Promise<void> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { ...tls, agent: false, timeout: 2000 }, (response) => {
      response.resume();
      if (response.statusCode === 200) resolve();
      else reject(new Error(`${url} says ${response.statusCode}`));
    });
    asked.once('timeout', () => asked.destroy(new Error(`${url} doesn't answer`)));
    asked.once('error', reject);
    asked.end();
  });
}
