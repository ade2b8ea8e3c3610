import { durationSeconds } from '../api/duration.ts';
import { Annotation, Label } from '../api/meta.ts';
import { exposureRecord } from './exposure-record.ts';
import { capacityOf, type Fleet } from './fleet.ts';
import { fleetObjectName, masterKeysName } from './names.ts';
import { type AppliedObject, fleetLabels, ownedBy } from './object.ts';

export interface RelayPlacement {
  readonly name: string;
  readonly revision: string;
  /** UDP port that the relay listens on; with HostPort and HostNetwork the node's. */
  readonly port: number;
}

/** UDP port of a relay whose exposure gives it an address of its own. */
export const DATA_PORT = 4000;
const HEALTH_PORT = 9091;
/** Meshes and other webhooks put containers of their own into pods, often in front. */
export const RELAY_CONTAINER = 'relay';

const CONTROL_DIR = '/var/run/wavry/control';
const KEYS_DIR = '/etc/wavry/master-keys';
const TOKEN_DIR = '/var/run/secrets/wavry.dev/master';
const STATE_DIR = '/var/lib/wavry';

/** TCP port of /health, /ready and /metrics. On the host's network it follows the UDP port, which is the relay's own there. */
export function healthPort(fleet: Fleet, relay: RelayPlacement): number {
  return fleet.spec.exposure.type === 'HostNetwork' ? relay.port : HEALTH_PORT;
}

/** A relay: a Deployment of one, so that nothing but the operator chooses which relay goes (design-operator 2). */
export function relayDeployment(fleet: Fleet, relay: RelayPlacement): AppliedObject {
  const labels = {
    ...fleetLabels(fleet),
    [Label.relay]: relay.name,
    [Label.revision]: relay.revision,
  };
  const spec = {
    replicas: 1,
    revisionHistoryLimit: 0,
    strategy: { type: 'Recreate' },
    selector: { matchLabels: { [Label.relay]: relay.name } },
    template: {
      metadata: {
        labels: { ...fleet.spec.pod?.labels, ...labels },
        annotations: {
          ...fleet.spec.pod?.annotations,
          // Nobody may move a relay that holds sessions; the operator takes these back on the pod of one that is empty.
          'cluster-autoscaler.kubernetes.io/safe-to-evict': 'false',
          'karpenter.sh/do-not-disrupt': 'true',
        },
      },
      spec: podSpec(fleet, relay),
    },
  };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: {
      name: relay.name,
      namespace: fleet.namespace,
      labels,
      annotations: {
        [Annotation.appliedSpec]: JSON.stringify(spec),
        [Annotation.exposure]: exposureRecord(fleet.spec.exposure),
      },
      ownerReferences: [ownedBy(fleet)],
    },
    spec,
  };
}

function podSpec(fleet: Fleet, relay: RelayPlacement): Record<string, unknown> {
  const { pod, exposure, drain, master } = fleet.spec;
  const onHost = exposure.type === 'HostNetwork';
  return {
    serviceAccountName: pod?.serviceAccountName ?? fleetObjectName(fleet.name),
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    // Process 1 of a container ignores a SIGTERM that it doesn't handle yet (pid_namespaces(7)): a relay that is deleted
    // while it starts would stay for its whole grace period.
    shareProcessNamespace: true,
    // 30 s beyond the relay's own drain timeout, so that it ends by itself and says so.
    terminationGracePeriodSeconds: Math.ceil(durationSeconds(drain.timeout)) + 30,
    ...(onHost
      ? { hostNetwork: true, dnsPolicy: pod?.hostNetworkDNSPolicy ?? 'ClusterFirstWithHostNet' }
      : {}),
    // The image runs on Linux only, and a cluster may have Windows nodes too.
    nodeSelector: { 'kubernetes.io/os': 'linux', ...pod?.nodeSelector },
    ...defined({
      tolerations: pod?.tolerations,
      affinity: pod?.affinity,
      priorityClassName: pod?.priorityClassName,
      imagePullSecrets: pod?.imagePullSecrets,
      runtimeClassName: pod?.runtimeClassName,
    }),
    topologySpreadConstraints: pod?.topologySpreadConstraints ?? [
      {
        maxSkew: 1,
        topologyKey: 'kubernetes.io/hostname',
        whenUnsatisfiable: 'ScheduleAnyway',
        labelSelector: { matchLabels: { [Label.fleet]: fleet.name } },
      },
    ],
    securityContext: {
      runAsNonRoot: true,
      ...(pod?.runAsUser === undefined ? {} : { runAsUser: pod.runAsUser }),
      seccompProfile: { type: 'RuntimeDefault' },
    },
    containers: [relayContainer(fleet, relay)],
    volumes: [
      {
        name: 'control',
        downwardAPI: {
          items: [
            { path: 'draining', fieldRef: { fieldPath: `metadata.annotations['${Annotation.draining}']` } },
            { path: 'endpoints', fieldRef: { fieldPath: `metadata.annotations['${Annotation.endpoints}']` } },
          ],
        },
      },
      { name: 'state', emptyDir: { sizeLimit: '64Mi' } },
      ...(pinsKeys(fleet) ? [{ name: 'master-keys', ...keysSource(fleet) }] : []),
      ...(master.tokenFrom
        ? [
            {
              name: 'master-token',
              secret: {
                secretName: master.tokenFrom.secretKeyRef.name,
                items: [{ key: master.tokenFrom.secretKeyRef.key, path: 'token' }],
              },
            },
          ]
        : []),
    ],
  };
}

function relayContainer(fleet: Fleet, relay: RelayPlacement): Record<string, unknown> {
  const { spec } = fleet;
  const capacity = capacityOf(spec);
  const health = healthPort(fleet, relay);
  const dataPort = {
    name: 'relay',
    protocol: 'UDP',
    containerPort: relay.port,
    ...(spec.exposure.type === 'HostPort' ? { hostPort: relay.port } : {}),
  };
  return {
    name: RELAY_CONTAINER,
    image: spec.image ?? fleet.defaultImage,
    ...defined({ imagePullPolicy: spec.pod?.imagePullPolicy }),
    args: relayArguments(fleet, relay),
    env: [
      { name: 'WAVRY_RELAY_ID', valueFrom: { fieldRef: { fieldPath: 'metadata.uid' } } },
      { name: 'WAVRY_RELAY_ALLOW_PUBLIC_BIND', value: '1' },
      ...(spec.master.allowInsecureDev
        ? [{ name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }]
        : []),
    ],
    ports: [dataPort, { name: 'health', protocol: 'TCP', containerPort: health }],
    resources: spec.pod?.resources ?? {
      requests: { cpu: capacity.cpu, memory: capacity.memory },
      limits: { memory: capacity.memory },
    },
    // A start that hangs and a dead data plane end at once: nothing is left to drain.
    startupProbe: {
      httpGet: { path: '/health', port: 'health' },
      periodSeconds: 1,
      failureThreshold: 60,
      terminationGracePeriodSeconds: 5,
    },
    livenessProbe: {
      httpGet: { path: '/health', port: 'health' },
      periodSeconds: 10,
      timeoutSeconds: 5,
      failureThreshold: 3,
      terminationGracePeriodSeconds: 5,
    },
    readinessProbe: { httpGet: { path: '/ready', port: 'health' }, periodSeconds: 5, timeoutSeconds: 3 },
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
    terminationMessagePolicy: 'FallbackToLogsOnError',
    volumeMounts: [
      { name: 'control', mountPath: CONTROL_DIR, readOnly: true },
      { name: 'state', mountPath: STATE_DIR },
      ...(pinsKeys(fleet) ? [{ name: 'master-keys', mountPath: KEYS_DIR, readOnly: true }] : []),
      ...(spec.master.tokenFrom ? [{ name: 'master-token', mountPath: TOKEN_DIR, readOnly: true }] : []),
    ],
  };
}

/** The relay's command line; absent options keep the relay's own default. */
function relayArguments(fleet: Fleet, relay: RelayPlacement): string[] {
  const { spec } = fleet;
  const capacity = capacityOf(spec);
  const options: Record<string, string | number | boolean | undefined> = {
    // Without signatures to check, a relay starts on loopback or one private address only. In brackets, as the pod's may
    // be of either family.
    listen: `${spec.master.allowInsecureDev ? '[$(POD_IP)]' : '0.0.0.0'}:${relay.port}`,
    'health-listen': `[::]:${healthPort(fleet, relay)}`,
    'master-url': spec.master.url,
    'master-keys-file': pinsKeys(fleet) ? `${KEYS_DIR}/keys` : undefined,
    'master-token-file': spec.master.tokenFrom ? `${TOKEN_DIR}/token` : undefined,
    'allow-insecure-dev': spec.master.allowInsecureDev ? true : undefined,
    region: spec.region,
    asn: spec.asn,
    workers: capacity.workers,
    'max-sessions': capacity.maxSessions,
    'max-throughput-mbps': capacity.maxThroughputMbps,
    'max-bitrate-kbps': spec.limits?.maxBitrateKbps,
    'ip-rate-limit-pps': spec.limits?.ipRateLimitPps,
    'identity-rate-limit-pps': spec.limits?.identityRateLimitPps,
    'load-shed-threshold-pct': spec.limits?.loadShedThresholdPct,
    'idle-timeout': Math.ceil(durationSeconds(spec.sessions.idleTimeout)),
    'lease-duration-secs': Math.ceil(durationSeconds(spec.sessions.leaseDuration)),
    'renew-on-traffic': spec.sessions.renewOnTraffic,
    'drain-timeout-secs': Math.ceil(durationSeconds(spec.drain.timeout)),
    'control-dir': CONTROL_DIR,
    'state-dir': STATE_DIR,
    'log-format': 'json',
  };
  return Object.entries(options)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `--${name}=${value}`);
}

function pinsKeys(fleet: Fleet): boolean {
  return fleet.spec.master.publicKeys !== undefined || fleet.spec.master.publicKeysFrom !== undefined;
}

function keysSource(fleet: Fleet): Record<string, unknown> {
  const from = fleet.spec.master.publicKeysFrom;
  if (from?.secretKeyRef) {
    return {
      secret: { secretName: from.secretKeyRef.name, items: [{ key: from.secretKeyRef.key, path: 'keys' }] },
    };
  }
  const reference = from?.configMapKeyRef ?? { name: masterKeysName(fleet.name), key: 'keys' };
  return { configMap: { name: reference.name, items: [{ key: reference.key, path: 'keys' }] } };
}

function defined(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
