import { join } from 'node:path';
import { API_SERVER_PORT, CONTROL_PLANE_ADDRESS, SERVICE_CIDR } from './addresses.ts';
import type { Pki } from './pki.ts';

export const COMPONENTS = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler'] as const;
export type ComponentName = (typeof COMPONENTS)[number];

/** How the controllers behave; left out, each has Kubernetes' own default. Seconds. */
export interface ControlPlaneSettings {
  hpaSyncPeriod?: number;
  hpaDownscaleStabilization?: number;
  /** How long a node may be silent before it is NotReady (Kubernetes: 50). The agent's heartbeats follow it. */
  nodeMonitorGracePeriod?: number;
  /** Added at the end of a component's flags: the last one wins. */
  extraFlags?: Partial<Record<ComponentName, readonly string[]>>;
  /** An audit.k8s.io/v1 Policy; the log is `audit.log` in the log folder. */
  auditPolicyFile?: string;
}

export interface ControlPlanePaths {
  etcdData: string;
  logs: string;
  controllerManagerKubeconfig: string;
  schedulerKubeconfig: string;
}

/** The command line of each component. etcd listens on 127.0.0.1 of the cluster's namespace only. */
export function componentFlags(
  settings: ControlPlaneSettings,
  pki: Pki,
  paths: ControlPlanePaths,
): Record<ComponentName, string[]> {
  const extra = (name: ComponentName): readonly string[] => settings.extraFlags?.[name] ?? [];
  return {
    etcd: [
      `--data-dir=${paths.etcdData}`,
      '--listen-client-urls=http://127.0.0.1:2379',
      '--advertise-client-urls=http://127.0.0.1:2379',
      '--listen-peer-urls=http://127.0.0.1:2380',
      '--initial-advertise-peer-urls=http://127.0.0.1:2380',
      '--initial-cluster=default=http://127.0.0.1:2380',
      // The data ends with the cluster, so nothing is gained by waiting for the disk.
      '--unsafe-no-fsync',
      '--log-level=warn',
      ...extra('etcd'),
    ],
    'kube-apiserver': [...apiServerFlags(settings, pki, paths), ...extra('kube-apiserver')],
    'kube-controller-manager': [
      ...controllerManagerFlags(settings, pki, paths),
      ...extra('kube-controller-manager'),
    ],
    'kube-scheduler': [
      `--kubeconfig=${paths.schedulerKubeconfig}`,
      '--leader-elect=false',
      '--secure-port=0',
      '--kube-api-qps=300',
      '--kube-api-burst=600',
      ...extra('kube-scheduler'),
    ],
  };
}

/** Names and addresses under which the API server is reached: the cluster's, a pod's, and the relay's on this machine. */
export const API_SERVER_NAMES: readonly string[] = [
  '127.0.0.1',
  CONTROL_PLANE_ADDRESS,
  '10.96.0.1',
  'localhost',
  'kubernetes',
  'kubernetes.default',
  'kubernetes.default.svc',
  'kubernetes.default.svc.cluster.local',
];

function apiServerFlags(settings: ControlPlaneSettings, pki: Pki, paths: ControlPlanePaths): string[] {
  return [
    '--etcd-servers=http://127.0.0.1:2379',
    '--bind-address=0.0.0.0',
    `--secure-port=${API_SERVER_PORT}`,
    `--advertise-address=${CONTROL_PLANE_ADDRESS}`,
    `--service-cluster-ip-range=${SERVICE_CIDR}`,
    `--tls-cert-file=${pki.apiServer.cert}`,
    `--tls-private-key-file=${pki.apiServer.key}`,
    `--client-ca-file=${pki.ca.cert}`,
    '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
    `--service-account-key-file=${pki.serviceAccount.publicKey}`,
    `--service-account-signing-key-file=${pki.serviceAccount.privateKey}`,
    '--authorization-mode=Node,RBAC',
    '--allow-privileged=true',
    // There is no kube-proxy where the API server runs: it goes to the endpoints of an aggregated API itself.
    '--enable-aggregator-routing=true',
    `--requestheader-client-ca-file=${pki.frontProxyCa.cert}`,
    '--requestheader-allowed-names=front-proxy-client',
    '--requestheader-extra-headers-prefix=X-Remote-Extra-',
    '--requestheader-group-headers=X-Remote-Group',
    '--requestheader-username-headers=X-Remote-User',
    `--proxy-client-cert-file=${pki.frontProxyClient.cert}`,
    `--proxy-client-key-file=${pki.frontProxyClient.key}`,
    `--kubelet-certificate-authority=${pki.ca.cert}`,
    `--kubelet-client-certificate=${pki.apiServerKubeletClient.cert}`,
    `--kubelet-client-key=${pki.apiServerKubeletClient.key}`,
    '--kubelet-preferred-address-types=InternalIP',
    // Otherwise a server that is asked to end waits a minute for its watches.
    '--shutdown-watch-termination-grace-period=1s',
    '--profiling=false',
    ...(settings.auditPolicyFile
      ? [
          `--audit-policy-file=${settings.auditPolicyFile}`,
          `--audit-log-path=${join(paths.logs, 'audit.log')}`,
        ]
      : []),
  ];
}

function controllerManagerFlags(
  settings: ControlPlaneSettings,
  pki: Pki,
  paths: ControlPlanePaths,
): string[] {
  const flags = [
    `--kubeconfig=${paths.controllerManagerKubeconfig}`,
    `--authentication-kubeconfig=${paths.controllerManagerKubeconfig}`,
    `--authorization-kubeconfig=${paths.controllerManagerKubeconfig}`,
    '--bind-address=127.0.0.1',
    '--leader-elect=false',
    '--use-service-account-credentials=true',
    // The default of 20 requests a second makes the controllers' own accounts take five seconds to begin with.
    '--kube-api-qps=300',
    '--kube-api-burst=600',
    `--service-account-private-key-file=${pki.serviceAccount.privateKey}`,
    `--root-ca-file=${pki.ca.cert}`,
    `--cluster-signing-cert-file=${pki.ca.cert}`,
    `--cluster-signing-key-file=${pki.ca.key}`,
    '--profiling=false',
  ];
  if (settings.hpaSyncPeriod !== undefined)
    flags.push(`--horizontal-pod-autoscaler-sync-period=${settings.hpaSyncPeriod}s`);
  if (settings.hpaDownscaleStabilization !== undefined)
    flags.push(`--horizontal-pod-autoscaler-downscale-stabilization=${settings.hpaDownscaleStabilization}s`);
  if (settings.nodeMonitorGracePeriod !== undefined) {
    flags.push(`--node-monitor-grace-period=${settings.nodeMonitorGracePeriod}s`);
    flags.push(
      `--node-monitor-period=${Math.max(1, Math.min(5, Math.floor(settings.nodeMonitorGracePeriod / 4)))}s`,
    );
  }
  return flags;
}
