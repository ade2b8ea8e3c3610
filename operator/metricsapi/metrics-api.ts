import type { KubeClient } from '../kube/client.ts';
import type { KubeObject } from '../kube/object.ts';
import { Reflector } from '../kube/reflector.ts';
import { Resources } from '../kube/resource.ts';
import { Store } from '../kube/store.ts';
import type { MetricsApi } from '../plan/metrics-api.ts';
import { Authenticator } from './authenticate.ts';
import { Authorizer } from './authorize.ts';
import type { MetricSource } from './metrics.ts';
import { Registration } from './registration.ts';
import { startMetricsServer } from './server.ts';
import { readTrust, type Trust, TRUST_CONFIG_MAP, TRUST_NAMESPACE } from './trust.ts';

export interface MetricsApiOptions {
  readonly host: string;
  readonly port: number;
  readonly service: string;
  readonly secret: string;
  readonly namespace: string;
  readonly client: KubeClient;
  readonly writer: KubeClient;
  readonly leading: () => boolean;
  readonly wallMs: () => number;
  readonly random: () => number;
  readonly fieldManager: string;
  readonly source: MetricSource;
  /** Whether autoscalers get its answers has changed. */
  readonly onState: () => void;
  readonly onProblem: (message: string) => void;
}

export interface MetricsApiService {
  readonly state: MetricsApi;
  /** This replica leads now, and looks after the certificate. */
  leads(): void;
  stop(): Promise<void>;
}

/**
 * Serves custom.metrics.k8s.io on every replica of the operator. Rejects with one line when its port can't be had; whatever
 * else is missing, it goes on trying.
 */
export async function startMetricsApi(options: MetricsApiOptions): Promise<MetricsApiService> {
  const { client, wallMs, onProblem } = options;
  let trust: Trust | undefined;
  const authenticator = new Authenticator({ client, trust: () => trust, wallMs });
  const authorizer = new Authorizer({ client, wallMs });
  const server = await startMetricsServer({
    host: options.host,
    port: options.port,
    source: options.source,
    authenticate: (request) => authenticator.authenticate(request),
    authorize: (user, asked) => authorizer.authorize(user, asked),
    onProblem,
  });

  const store = new Store<KubeObject>();
  store.onChange((_, object) => {
    // Deleted: the API server makes it again, with what still holds.
    if (!object) return;
    try {
      trust = readTrust((object['data'] ?? {}) as Record<string, string>);
      server.setTrust(trust);
    } catch (error) {
      onProblem(
        `ConfigMap ${TRUST_NAMESPACE}/${TRUST_CONFIG_MAP}: ${(error as Error).message}; what was read before still holds`,
      );
    }
  });
  const reflector = new Reflector<KubeObject>({
    client,
    resource: Resources.configMaps,
    namespace: TRUST_NAMESPACE,
    // The role that Kubernetes has for this allows one name.
    fieldSelector: `metadata.name=${TRUST_CONFIG_MAP}`,
    store,
    random: options.random,
    onProblem: ({ message }) =>
      onProblem(`whom to trust for metrics is read from ${TRUST_NAMESPACE}/${TRUST_CONFIG_MAP}: ${message}`),
  });
  reflector.start();

  const registration = new Registration({
    client,
    writer: options.writer,
    leading: options.leading,
    wallMs,
    fieldManager: options.fieldManager,
    namespace: options.namespace,
    service: options.service,
    secret: options.secret,
    onCertificate: (certificate) => server.setCertificate(certificate),
    onState: options.onState,
    onProblem,
  });
  registration.look();

  return {
    get state() {
      return registration.state;
    },
    leads: () => registration.look(),
    stop: async () => {
      await registration.stop();
      await reflector.stop();
      server.close();
    },
  };
}
