import type { WavryRelaySpec } from '../api/spec.ts';
import { MASTER_KEY_PATTERN } from '../api/master.ts';
import type { KubeClient } from '../kube/client.ts';
import { isStatus } from '../kube/kube-error.ts';
import type { KubeObject } from '../kube/object.ts';
import { type Resource, Resources } from '../kube/resource.ts';

/** What a spec refers to: the admin token, and what is wrong with the rest in words. */
export interface References {
  readonly adminToken: string | undefined;
  readonly problems: readonly string[];
  /** Why some of it couldn't be read though nothing says that it is wrong: the API server is away, say. */
  readonly unread: Error | undefined;
}

/**
 * Reads the Secrets and ConfigMaps that a spec names, by `get`: the operator needs no right to list Secrets.
 * Only the admin token is kept; of the others nothing but whether a relay could use them.
 */
export async function readReferences(
  client: KubeClient,
  namespace: string,
  spec: WavryRelaySpec,
): Promise<References> {
  const problems: string[] = [];
  let unread: Error | undefined;
  const value = async (resource: Resource, kind: string, field: string, name: string, key: string) => {
    try {
      const object = await client.get<KubeObject>(resource, namespace, name);
      const data = (object['data'] ?? {}) as Record<string, string>;
      const text = data[key];
      if (text === undefined) {
        problems.push(
          `${field}: ${kind} ${name} has no key "${key}"; add it, or correct the name of the key`,
        );
        return undefined;
      }
      return kind === 'Secret' ? Buffer.from(text, 'base64').toString('utf8') : text;
    } catch (error) {
      if (isStatus(error, 404)) problems.push(`${field}: ${kind} ${name} does not exist; create it`);
      else if (isStatus(error, 403)) {
        problems.push(`${field}: ${kind} ${name} may not be read by the operator; grant it "get" on it`);
      } else {
        const text = error instanceof Error ? error.message : String(error);
        unread ??= new Error(`${field}: ${kind} ${name} could not be read: ${text}`, { cause: error });
      }
      return undefined;
    }
  };

  const { adminTokenFrom, tokenFrom, publicKeysFrom } = spec.master;
  const admin = adminTokenFrom?.secretKeyRef;
  const adminToken = admin
    ? await value(Resources.secrets, 'Secret', 'spec.master.adminTokenFrom', admin.name, admin.key)
    : undefined;
  const token = tokenFrom?.secretKeyRef;
  if (token) {
    const text = await value(Resources.secrets, 'Secret', 'spec.master.tokenFrom', token.name, token.key);
    if (text?.trim() === '')
      problems.push(`spec.master.tokenFrom: key "${token.key}" of Secret ${token.name} is empty`);
  }
  const secretKeys = publicKeysFrom?.secretKeyRef;
  const mapKeys = publicKeysFrom?.configMapKeyRef;
  const keysText = secretKeys
    ? await value(Resources.secrets, 'Secret', 'spec.master.publicKeysFrom', secretKeys.name, secretKeys.key)
    : mapKeys
      ? await value(
          Resources.configMaps,
          'ConfigMap',
          'spec.master.publicKeysFrom',
          mapKeys.name,
          mapKeys.key,
        )
      : undefined;
  if (keysText !== undefined) problems.push(...keyProblems(keysText));
  return { adminToken: adminToken?.trim() === '' ? undefined : adminToken?.trim(), problems, unread };
}

function keyProblems(text: string): string[] {
  const lines = text
    .split('\n')
    .map((line, index) => ({ line: line.trim(), number: index + 1 }))
    .filter(({ line }) => line !== '' && !line.startsWith('#'));
  if (lines.length === 0)
    return [
      'spec.master.publicKeysFrom: there is no key in it; write one key a line, 64 hex digits or kid=hex',
    ];
  return lines
    .filter(({ line }) => !MASTER_KEY_PATTERN.test(line))
    .map(
      ({ number }) => `spec.master.publicKeysFrom: line ${number} is no key; write 64 hex digits, or kid=hex`,
    );
}
