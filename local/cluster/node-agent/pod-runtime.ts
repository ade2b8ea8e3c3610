import type { Commands } from '../commands.ts';
import type { ObjectSource } from './environment.ts';
import type { ImageDefinition } from './images.ts';
import type { Pod } from './resources.ts';
import type { RootFileSystem } from './root-file-system.ts';
import type { TokenCache } from './tokens.ts';

/** What a node gives its pods. */
export interface PodRuntime {
  nodeName: string;
  hostIP: string;
  allocatable: Readonly<Record<string, string>>;
  directory: string;
  root: RootFileSystem;
  commands: Commands;
  objects: ObjectSource;
  tokens: TokenCache;
  apiServer: { host: string; port: number };
  backOff: { baseMs: number; maxMs: number };
  findImage(reference: string): ImageDefinition | undefined;
  /** Gives the pod an address and a network. @throws Error when the node has none left. */
  attach(pod: Pod): Promise<{ address: string; network: string }>;
  detach(pod: Pod, address: string): Promise<void>;
  event(pod: Pod, type: 'Normal' | 'Warning', reason: string, message: string): void;
}
