import type { KubeClient } from '../kube/client.ts';
import { isStatus, KubeError } from '../kube/kube-error.ts';
import type { KubeObject } from '../kube/object.ts';
import { Resources } from '../kube/resource.ts';
import {
  judgeMetricsApi,
  METRICS_API_SERVICES,
  type MetricsApi,
  type ObservedApiService,
} from '../plan/metrics-api.ts';
import {
  isAcceptedBy,
  issueServingCertificate,
  readServingCertificate,
  renewalDueMs,
  type ServingCertificate,
  type ServingMaterial,
} from './certificate.ts';

export interface RegistrationOptions {
  readonly client: KubeClient;
  /** Writes as long as this replica leads. */
  readonly writer: KubeClient;
  readonly leading: () => boolean;
  readonly wallMs: () => number;
  readonly fieldManager: string;
  /** The operator's own namespace, and the Service and the Secret of its metrics in it. */
  readonly namespace: string;
  readonly service: string;
  readonly secret: string;
  readonly onCertificate: (certificate: ServingCertificate) => void;
  readonly onState: (state: MetricsApi) => void;
  readonly onProblem: (message: string) => void;
}

const SETTLED_MS = 10_000;
const UNSETTLED_MS = 2000;
/** After the API server was told of another authority it takes moments until each of its instances trusts it. */
const SPREAD_MS = 10_000;

/**
 * Keeps the certificate that all replicas serve with, and what the API server is told of it. The leader renews it in the
 * Secret that the chart made, and writes its authority on the APIServices; each replica takes it from there. An APIService
 * of somebody else is looked at and left alone.
 */
export class Registration {
  readonly #options: RegistrationOptions;
  readonly #names: readonly string[];
  #state: MetricsApi = { state: 'unknown', message: 'whose custom.metrics.k8s.io is isn’t known yet' };
  #served: ServingCertificate | undefined;
  /** A certificate that is to be served once everybody trusts it, and since when everybody was told. */
  #next: { readonly cert: string; readonly sinceMs: number } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #again = false;
  #stopped = false;
  #lastProblem = '';

  constructor(options: RegistrationOptions) {
    this.#options = options;
    const { service, namespace } = options;
    // The API server asks for the first (k8s.io/kube-aggregator/pkg/apiserver/handler_proxy.go).
    this.#names = [
      `${service}.${namespace}.svc`,
      `${service}.${namespace}`,
      `${service}.${namespace}.svc.cluster.local`,
    ];
  }

  get state(): MetricsApi {
    return this.#state;
  }

  /** Looks now, and from then on again and again. */
  look(): void {
    if (this.#stopped) return;
    if (this.#looking) {
      this.#again = true;
      return;
    }
    clearTimeout(this.#timer);
    this.#looking = this.#lookOnce().then((settled) => {
      this.#looking = undefined;
      if (this.#stopped) return;
      const again = this.#again;
      this.#again = false;
      if (again) this.look();
      else this.#timer = setTimeout(() => this.look(), settled ? SETTLED_MS : UNSETTLED_MS);
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#looking;
  }

  async #lookOnce(): Promise<boolean> {
    try {
      const certificate = await this.#certificate();
      const services = await this.#apiServices();
      const { namespace, service } = this.#options;
      const state = judgeMetricsApi(services.map(observed), { namespace, name: service });
      const told = certificate ? await this.#tell(services, certificate, state) : false;
      if (certificate)
        this.#serve(certificate, told || state.state === 'foreign' || state.state === 'absent');
      this.#judged(state);
      this.#lastProblem = '';
      return certificate !== undefined && certificate === this.#served && state.state !== 'unavailable';
    } catch (error) {
      if (error instanceof KubeError && error.reason === 'NotLeading') return false;
      // Somebody else was faster: the next look sees what they did.
      if (isStatus(error, 409)) return false;
      this.#problem(error instanceof Error ? error.message : String(error));
      return false;
    }
  }

  /** What the Secret holds, renewed when this replica leads and it is time. Undefined while there is nothing to serve. */
  async #certificate(): Promise<ServingCertificate | undefined> {
    const { client, writer, leading, wallMs, fieldManager, namespace, secret } = this.#options;
    let object: KubeObject & { readonly data?: Readonly<Record<string, string>> };
    try {
      object = await client.get(Resources.secrets, namespace, secret);
    } catch (error) {
      if (!isStatus(error, 404)) throw error;
      throw new Error(
        `Secret ${namespace}/${secret} for the certificate of the metrics API is missing: "helm upgrade" makes it again`,
      );
    }
    const material = materialOf(object.data ?? {});
    const certificate = readServingCertificate(material, this.#names, wallMs());
    const current =
      certificate && this.#served?.cert === certificate.cert && this.#served.bundle === certificate.bundle
        ? this.#served
        : certificate;
    if (!leading() || (current && wallMs() < renewalDueMs(current))) return current;
    // Where the Secret was emptied, what is still served has to stay trusted.
    const before = material.bundle || this.#served?.bundle;
    const renewed = await issueServingCertificate(this.#names, before, wallMs());
    await writer.patch(
      Resources.secrets,
      namespace,
      secret,
      { metadata: { resourceVersion: object.metadata.resourceVersion }, data: dataOf(renewed) },
      { fieldManager },
    );
    return readServingCertificate(renewed, this.#names, wallMs());
  }

  async #apiServices(): Promise<ApiServiceObject[]> {
    const found = await Promise.all(
      METRICS_API_SERVICES.map(async (name) => {
        try {
          return await this.#options.client.get<ApiServiceObject>(Resources.apiServices, undefined, name);
        } catch (error) {
          if (isStatus(error, 404)) return undefined;
          throw error;
        }
      }),
    );
    return found.filter((object) => object !== undefined);
  }

  /** Writes the bundle where it isn't yet. True when every APIService has it already. */
  async #tell(
    services: readonly ApiServiceObject[],
    certificate: ServingCertificate,
    state: MetricsApi,
  ): Promise<boolean> {
    const { writer, leading, fieldManager, namespace, service } = this.#options;
    if (state.state === 'foreign') return false;
    const caBundle = Buffer.from(certificate.bundle).toString('base64');
    let told = true;
    for (const object of services) {
      const before = Buffer.from(object.spec.caBundle ?? '', 'base64').toString();
      if (!isAcceptedBy(certificate, before)) told = false;
      if (object.spec.caBundle === caBundle || !leading()) continue;
      // Only if it is still ours: between looking and writing somebody may have taken it.
      await writer.patch(
        Resources.apiServices,
        undefined,
        object.metadata.name,
        [
          { op: 'test', path: '/spec/service/namespace', value: namespace },
          { op: 'test', path: '/spec/service/name', value: service },
          { op: 'add', path: '/spec/caBundle', value: caBundle },
        ],
        { fieldManager, json: true },
      );
    }
    return told;
  }

  /** Takes a certificate into use: the first at once, later ones when the API server has been told for long enough. */
  #serve(certificate: ServingCertificate, told: boolean): void {
    if (certificate === this.#served) return;
    if (this.#served && certificate.cert !== this.#served.cert) {
      const nowMs = this.#options.wallMs();
      if (!told) this.#next = undefined;
      else if (this.#next?.cert !== certificate.cert) this.#next = { cert: certificate.cert, sinceMs: nowMs };
      const expired = nowMs >= this.#served.notAfterMs;
      if (!expired && (!this.#next || nowMs - this.#next.sinceMs < SPREAD_MS)) return;
    }
    this.#next = undefined;
    this.#served = certificate;
    this.#options.onCertificate(certificate);
  }

  #judged(state: MetricsApi): void {
    const changed = state.state !== this.#state.state || state.message !== this.#state.message;
    this.#state = state;
    if (changed) this.#options.onState(state);
  }

  #problem(message: string): void {
    this.#judged({
      state: 'unknown',
      message: `the state of custom.metrics.k8s.io can't be told: ${message}`,
    });
    if (message !== this.#lastProblem) this.#options.onProblem(`custom.metrics.k8s.io: ${message}`);
    this.#lastProblem = message;
  }
}

interface ApiServiceObject extends KubeObject {
  readonly spec: {
    readonly service?: { readonly namespace: string; readonly name: string };
    readonly caBundle?: string;
  };
  readonly status?: {
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly message?: string;
    }[];
  };
}

function observed({ metadata, spec, status }: ApiServiceObject): ObservedApiService {
  const available = status?.conditions?.find((condition) => condition.type === 'Available');
  return {
    name: metadata.name,
    service: spec.service,
    managedBy: metadata.labels?.['app.kubernetes.io/managed-by'],
    available: available?.status === 'True',
    problem: available?.message ?? '',
  };
}

function materialOf(data: Readonly<Record<string, string>>): Partial<ServingMaterial> {
  const text = (key: string): string => Buffer.from(data[key] ?? '', 'base64').toString();
  return { cert: text('tls.crt'), key: text('tls.key'), bundle: text('ca.crt') };
}

function dataOf({ cert, key, bundle }: ServingMaterial): Record<string, string> {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  return { 'tls.crt': base64(cert), 'tls.key': base64(key), 'ca.crt': base64(bundle) };
}
