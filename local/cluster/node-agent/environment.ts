import type { ConfigMap, Container, KeyRef, Pod, Secret } from './resources.ts';
import { fieldValue, resourceValue, type PodPlace } from './downward.ts';
import { expand } from './expansion.ts';

/** Finds the Secrets and ConfigMaps of a pod's namespace. */
export interface ObjectSource {
  secret(namespace: string, name: string): Secret | undefined;
  configMap(namespace: string, name: string): ConfigMap | undefined;
}

/** A container can't be started as its object names something that isn't there (yet). */
export class ConfigurationError extends Error {
  override name = 'ConfigurationError';
}

/**
 * A container's environment: the image's, the API server's address, `envFrom`, then `env`, each able to refer to the
 * ones before by `$(NAME)`. Service variables other than KUBERNETES_* are not made.
 *
 * @throws ConfigurationError for a missing Secret, ConfigMap or key.
 */
export function containerEnvironment(
  pod: Pod,
  container: Container,
  given: {
    image: Readonly<Record<string, string>>;
    apiServer: { host: string; port: number };
    hostname: string;
  },
  place: PodPlace,
  objects: ObjectSource,
): Record<string, string> {
  const { host, port } = given.apiServer;
  const address = `tcp://${host}:${port}`;
  const result: Record<string, string> = {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOSTNAME: given.hostname,
    ...given.image,
    KUBERNETES_SERVICE_HOST: host,
    KUBERNETES_SERVICE_PORT: String(port),
    KUBERNETES_SERVICE_PORT_HTTPS: String(port),
    KUBERNETES_PORT: address,
    [`KUBERNETES_PORT_${port}_TCP`]: address,
    [`KUBERNETES_PORT_${port}_TCP_PROTO`]: 'tcp',
    [`KUBERNETES_PORT_${port}_TCP_PORT`]: String(port),
    [`KUBERNETES_PORT_${port}_TCP_ADDR`]: host,
  };
  const namespace = pod.metadata.namespace!;
  for (const { prefix = '', configMapRef, secretRef } of container.envFrom ?? []) {
    const values = configMapRef
      ? wholeConfigMap(objects, namespace, configMapRef)
      : secretRef
        ? wholeSecret(objects, namespace, secretRef)
        : {};
    for (const [key, value] of Object.entries(values)) result[prefix + key] = value;
  }
  for (const { name, value, valueFrom } of container.env ?? []) {
    if (!valueFrom) {
      result[name] = expand(value ?? '', result);
      continue;
    }
    const { fieldRef, resourceFieldRef, secretKeyRef, configMapKeyRef } = valueFrom;
    let found: string | undefined;
    if (fieldRef) found = fieldValue(pod, fieldRef, place);
    else if (resourceFieldRef) found = resourceValue(container, resourceFieldRef, place);
    else if (secretKeyRef) found = secretKey(objects, namespace, secretKeyRef);
    else if (configMapKeyRef) found = configMapKey(objects, namespace, configMapKeyRef);
    if (found !== undefined) result[name] = found;
  }
  return result;
}

/** `command` and `args` of a container over those of its image, with `$(NAME)` replaced. */
export function containerCommand(
  container: Container,
  image: {
    command: readonly string[];
    args?: readonly string[];
    programs?: Readonly<Record<string, string>>;
  },
  environment: Readonly<Record<string, string>>,
): string[] {
  const command = container.command?.length ? container.command : image.command;
  const args = container.args?.length ? container.args : container.command?.length ? [] : (image.args ?? []);
  const [program, ...rest] = [...command, ...args].map((part) => expand(part, environment));
  return program === undefined ? [] : [image.programs?.[program] ?? program, ...rest];
}

type OptionalRef = { name: string; optional?: boolean };

function wholeConfigMap(objects: ObjectSource, namespace: string, ref: OptionalRef): Record<string, string> {
  const found = objects.configMap(namespace, ref.name);
  if (!found && !ref.optional) throw new ConfigurationError(`configmap "${ref.name}" not found`);
  return found?.data ?? {};
}

function wholeSecret(objects: ObjectSource, namespace: string, ref: OptionalRef): Record<string, string> {
  const found = objects.secret(namespace, ref.name);
  if (!found && !ref.optional) throw new ConfigurationError(`secret "${ref.name}" not found`);
  return Object.fromEntries(
    Object.entries(found?.data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]),
  );
}

function configMapKey(objects: ObjectSource, namespace: string, ref: KeyRef): string | undefined {
  const value = wholeConfigMap(objects, namespace, ref)[ref.key];
  if (value === undefined && !ref.optional)
    throw new ConfigurationError(`couldn't find key ${ref.key} in ConfigMap ${namespace}/${ref.name}`);
  return value;
}

function secretKey(objects: ObjectSource, namespace: string, ref: KeyRef): string | undefined {
  const value = wholeSecret(objects, namespace, ref)[ref.key];
  if (value === undefined && !ref.optional)
    throw new ConfigurationError(`couldn't find key ${ref.key} in Secret ${namespace}/${ref.name}`);
  return value;
}
