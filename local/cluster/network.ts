import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CONTROL_PLANE_ADDRESS, LOCAL_CIDR, nodeAddress, SERVICE_CIDR } from './addresses.ts';
import type { Commands } from './commands.ts';

/**
 * Network namespaces and the links between them:
 *
 * ```
 * cluster (control plane, tests' Masters and peers; all of 198.18.0.0/15 that is no node's is local to it)
 *   └── node N   198.18.N.1, routes 198.18.N.0/24; hostNetwork pods; host ports and node ports (NAT)
 *         └── pod   198.18.N.100–199, everything else by its one link
 * ```
 *
 * So two pods can listen on one port, and two nodes on one host port, as on real machines.
 * Links carry no ARP: both ends have the same hardware address, so every frame is taken.
 */
export class Network {
  readonly #directory: string;
  readonly #commands: Commands;

  /** `directory` takes a file for each namespace; runs in the cluster's namespace, which must have a /proc of its own. */
  constructor(directory: string, commands: Commands) {
    this.#directory = directory;
    this.#commands = commands;
    mkdirSync(directory, { recursive: true });
  }

  /** Service addresses have a route only so that their packets come to where they are translated. */
  async setUpCluster(): Promise<void> {
    await this.#run(`
      echo 1 > /proc/sys/net/ipv4/ip_forward
      ip -batch - <<.
        link set lo up
        addr add ${CONTROL_PLANE_ADDRESS}/32 dev lo
        route add local ${LOCAL_CIDR} dev lo table main src ${CONTROL_PLANE_ADDRESS}
        route add local ${SERVICE_CIDR} dev lo table main src ${CONTROL_PLANE_ADDRESS}
.
    `);
  }

  /** Makes the node's namespace. An external address, if it has one, is the node's too. */
  async addNode(node: number, externalAddress?: string): Promise<string> {
    const address = nodeAddress(node);
    const file = this.nodeNamespace(node);
    await this.#run(`
      : > ${file}
      unshare --net=${file} sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward; ip link set lo up'
      ip -batch - <<.
        ${veth(`node${node}`, 'uplink', file)}
        link set node${node} ${UP}
        route add 198.18.${node}.0/24 dev node${node} src ${CONTROL_PLANE_ADDRESS}
        ${externalAddress ? `route add ${externalAddress}/32 dev node${node} src ${CONTROL_PLANE_ADDRESS}` : ''}
.
      nsenter --net=${file} ip -batch - <<.
        link set uplink ${UP}
        addr add ${address}/32 dev uplink
        ${externalAddress ? `addr add ${externalAddress}/32 dev uplink` : ''}
        route add default dev uplink src ${address}
        route add unreachable 198.18.${node}.0/24
.
    `);
    return file;
  }

  /** Makes a pod's namespace with that address on the node, and returns its file. */
  async addPod(node: number, address: string): Promise<string> {
    const file = this.#podNamespace(address);
    const link = podLink(address);
    await this.#run(`
      : > ${file}
      unshare --net=${file} ip link set lo up
      nsenter --net=${this.nodeNamespace(node)} ip -batch - <<.
        ${veth(link, 'eth0', file)}
        link set ${link} ${UP}
        route add ${address}/32 dev ${link}
.
      nsenter --net=${file} ip -batch - <<.
        link set eth0 ${UP}
        addr add ${address}/32 dev eth0
        route add default dev eth0 src ${address}
.
    `);
    return file;
  }

  /** Ends the pod's link at once; its namespace goes with its last process. */
  async removePod(node: number, address: string): Promise<void> {
    const file = this.#podNamespace(address);
    await this.#run(`
      nsenter --net=${this.nodeNamespace(node)} ip link del ${podLink(address)} || true
      umount ${file} || true
      rm -f ${file}
    `);
  }

  /**
   * Gives a simulated pod's address to the network outside, where one process can answer for all of them: it listens
   * on 0.0.0.0 there, and tells them apart by the address it was called at. The node's other pods go out for it.
   */
  async addSimulatedPod(node: number, address: string): Promise<void> {
    await this.#run(`
      ip route add local ${address}/32 dev lo table main src ${address}
      nsenter --net=${this.nodeNamespace(node)} ip route add ${address}/32 dev uplink src ${nodeAddress(node)}
    `);
  }

  async removeSimulatedPod(node: number, address: string): Promise<void> {
    await this.#run(`
      nsenter --net=${this.nodeNamespace(node)} ip route del ${address}/32 dev uplink || true
      ip route del local ${address}/32 dev lo table main || true
    `);
  }

  /** The file to enter the node's network namespace by. */
  nodeNamespace(node: number): string {
    return join(this.#directory, `node-${node}`);
  }

  #podNamespace(address: string): string {
    return join(this.#directory, `pod-${address}`);
  }

  async #run(script: string): Promise<void> {
    const { sh } = this.#commands;
    const path = [...new Set(Object.values(this.#commands).map((file) => dirname(file)))].join(':');
    await new Promise<void>((resolve, reject) => {
      const child = execFile(sh, ['-ec', script], { env: { PATH: path } }, (error, _out, errors) => {
        if (error)
          reject(new Error(`making the cluster's network failed: ${errors.trim() || error.message}`));
        else resolve();
      });
      child.stdin?.end();
    });
  }
}

const UP = 'arp off addrgenmode none up';
const HARDWARE_ADDRESS = '02:00:00:00:00:01';

function veth(name: string, peer: string, namespace: string): string {
  return `link add ${name} address ${HARDWARE_ADDRESS} type veth peer name ${peer} address ${HARDWARE_ADDRESS} netns ${namespace}`;
}

/** Interface names have at most 15 characters. */
function podLink(address: string): string {
  return `pod${address.split('.').slice(2).join('-')}`;
}
