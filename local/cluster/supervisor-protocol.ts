import type { ComponentName, ControlPlaneSettings } from './control-plane.ts';
import type { ImageMap } from './node-agent/images.ts';
import type { NodeOptions } from './node-agent/node.ts';
import type { NodeState } from './node-agent/agent.ts';

/** What the owner of a cluster and the supervisor in its namespaces say to each other, over node's IPC channel. */

/** First message, from the owner. */
export interface SupervisorSetup {
  directory: string;
  logs: string;
  binaries: Record<ComponentName, string>;
  settings: ControlPlaneSettings;
  nodes: readonly NodeOptions[];
  images: ImageMap;
  restartBackOff: { baseMs: number; maxMs: number };
  /** The unix socket at which the API server is handed out. */
  apiSocket: string;
  /** Where the owner hands that socket out on the machine. */
  server: string;
}

/** What the owner may ask for afterwards. */
export type SupervisorRequest =
  | { kind: 'stopComponent'; name: ComponentName; signal: NodeJS.Signals }
  | { kind: 'startComponent'; name: ComponentName }
  | { kind: 'setImages'; images: ImageMap }
  | { kind: 'setNodeState'; node: string; state: NodeState };

export type ToSupervisor = { setup: SupervisorSetup } | { id: number; request: SupervisorRequest };

export type FromSupervisor =
  /** Its process number outside of the cluster's PID namespace. */
  | { pid: number }
  | { ready: true }
  | { failed: string }
  | { id: number; error?: string }
  /** Something that wasn't asked for, such as the end of a component. */
  | { trouble: string };
