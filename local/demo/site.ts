import type { KubeClient } from '../../operator/kube/client.ts';
import type { Start } from './crowd-process.ts';

/** A cluster that the demo plays on: CRD and operator are there, the fleet is not yet. */
export interface Site {
  /** As the view's title says it. */
  readonly title: string;
  readonly client: KubeClient;
  readonly namespace: string;
  /** What the cluster needs to run relays; the operator's own image when absent. */
  readonly relayImage?: string;
  readonly masterUrl: string;
  /** `ip:port` at which the demo is to start a development Master; there is one already without it. */
  readonly masterListen?: string;
  /** Of that Master. */
  readonly adminToken?: string;
  /** Starts a program where it reaches relays and Master. */
  readonly start: Start;
  /** Lines for another terminal, before those that are about the fleet. */
  readonly shellLines: readonly string[];
  /** What says that the operator is at work: how it was started and, when it runs as one, its Deployment. */
  readonly operator: { readonly how: string; readonly deployment?: { namespace: string; name: string } };
  /** Takes away all that it brought. */
  close(): Promise<void>;
}

/** What a site tells while it is made and while it is up. */
export interface SiteEvents {
  readonly say: (line: string) => void;
  /** Something has ended that the demo can't do without; the reason in one line. */
  readonly onEnd: (reason: string) => void;
}
