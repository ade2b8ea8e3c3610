import { existsSync, readFileSync } from 'node:fs';
import type { OutgoingHttpHeaders } from 'node:http';
import type { RequestOptions } from 'node:https';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

import { type Cluster, KubeConfig, type User } from '@kubernetes/client-node';

import { KubeClient } from '../kube/client.ts';
import { Connection } from '../kube/connection.ts';
import type { AccessFlags } from './arguments.ts';
import { CliError } from './cli-error.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface Access {
  readonly client: KubeClient;
  /** Of the context; "default" where it names none. */
  readonly namespace: string;
  close(): Promise<void>;
}

/**
 * The cluster that kubectl would speak to with the same flags. Throws CliError.
 *
 * @param version of the plugin, for the API server's log
 */
export function openAccess(flags: AccessFlags, env: Environment, version: string): Access {
  const config = chosen(readKubeConfig(flags.kubeconfig, env, flags.server !== undefined), flags);
  const connection = new Connection(config, env);
  return {
    client: new KubeClient(connection, {
      userAgent: `kubectl-wavry/${version}`,
      ...(flags.requestTimeoutSeconds === undefined
        ? {}
        : { requestTimeoutMs: flags.requestTimeoutSeconds * 1000 }),
    }),
    namespace: config.getContextObject(config.getCurrentContext())?.namespace || 'default',
    close: () => connection.close(),
  };
}

/**
 * Files of $KUBECONFIG are merged as kubectl does: what is missing is passed over, and of two things of one name the
 * first counts (https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/).
 *
 * @param mayBeMissing where flags say which cluster
 */
export function readKubeConfig(file: string | undefined, env: Environment, mayBeMissing = false): KubeConfig {
  if (file !== undefined) {
    if (!existsSync(file)) throw new CliError(`stat ${file}: no such file or directory (--kubeconfig)`);
    return readFile(file);
  }
  const listed = (env['KUBECONFIG'] ?? '').split(delimiter).filter((path) => path !== '');
  const paths = listed.length > 0 ? listed : [join(env['HOME'] ?? homedir(), '.kube', 'config')];
  const configs = paths.filter((path) => existsSync(path)).map(readFile);
  if (configs.length === 0 && !mayBeMissing) {
    throw new CliError(
      `no kubeconfig: ${paths.join(' and ')} ${paths.length === 1 ? "isn't" : "aren't"} there; set KUBECONFIG or give --kubeconfig`,
    );
  }
  const merged = new KubeConfig();
  merged.loadFromOptions({
    clusters: firstOfEachName(configs.flatMap((config) => config.getClusters())),
    users: firstOfEachName(configs.flatMap((config) => config.getUsers())),
    contexts: firstOfEachName(configs.flatMap((config) => config.getContexts())),
    currentContext: configs.map((config) => config.getCurrentContext()).find(Boolean) ?? '',
  });
  return merged;
}

function chosen(config: KubeConfig, flags: AccessFlags): KubeConfig {
  const name = flags.context ?? config.getCurrentContext();
  const context = config.getContextObject(name);
  const named = flags.cluster !== undefined || flags.server !== undefined;
  if (!context && (flags.context !== undefined || !named)) {
    const names = config.getContexts().map((context) => context.name);
    throw new CliError(
      name === ''
        ? `no context is current; choose one with --context: ${names.join(', ')}`
        : `context "${name}" does not exist; the kubeconfig has ${names.join(', ') || 'none'}`,
    );
  }
  const clusterName = flags.cluster ?? context?.cluster ?? '';
  const userName = flags.user ?? context?.user ?? '';
  const cluster = config.getCluster(clusterName) ?? undefined;
  const user = config.getUser(userName) ?? undefined;
  if (!cluster && (flags.server === undefined || clusterName !== ''))
    throw new CliError(`cluster "${clusterName}" does not exist in the kubeconfig`);
  if (!user && userName !== '') {
    throw new CliError(`auth info "${userName}" does not exist in the kubeconfig`);
  }
  const result = new ImpersonatingConfig(flags);
  result.loadFromOptions({
    clusters: [clusterWith(cluster, flags)],
    users: [userWith(user, flags)],
    contexts: [{ ...context, name: CHOSEN, cluster: CHOSEN, user: CHOSEN }],
    currentContext: CHOSEN,
  });
  return result;
}

const CHOSEN = 'chosen';

/** What flags say takes the place of what the kubeconfig says of the same (client-go, tools/clientcmd/overrides.go). */
function clusterWith(cluster: Cluster | undefined, flags: AccessFlags): Cluster {
  const { caData, caFile, tlsServerName: kept, ...rest } = cluster ?? { server: '', skipTLSVerify: false };
  const authority = flags.certificateAuthority;
  // A name that was meant for another server, says client-go.
  const tlsServerName = flags.tlsServerName ?? (flags.server === undefined ? kept : undefined);
  return {
    ...rest,
    ...(flags.insecureSkipTlsVerify
      ? { skipTLSVerify: true }
      : authority === undefined
        ? { ...(caData ? { caData } : {}), ...(caFile ? { caFile } : {}) }
        : { caData: base64Of(authority, '--certificate-authority'), skipTLSVerify: false }),
    ...(tlsServerName === undefined ? {} : { tlsServerName }),
    name: CHOSEN,
    server: flags.server ?? rest.server,
  };
}

function userWith(user: User | undefined, flags: AccessFlags): User {
  const { token, clientCertificate, clientKey } = flags;
  // A token given here is the one that counts: not what a plug-in or a password would bring.
  const { exec: _, authProvider: __, username: ___, password: ____, ...withoutLogin } = user ?? {};
  return {
    ...(token === undefined ? user : { ...withoutLogin, token }),
    ...(clientCertificate === undefined
      ? {}
      : { certData: base64Of(clientCertificate, '--client-certificate') }),
    ...(clientKey === undefined ? {} : { keyData: base64Of(clientKey, '--client-key') }),
    name: CHOSEN,
  };
}

function base64Of(file: string, flag: string): string {
  try {
    return readFileSync(file).toString('base64');
  } catch (error) {
    throw new CliError(`${flag}: ${(error as Error).message}`);
  }
}

/** https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation */
class ImpersonatingConfig extends KubeConfig {
  readonly #flags: AccessFlags;

  constructor(flags: AccessFlags) {
    super();
    if ((flags.asGroups.length > 0 || flags.asUid !== undefined) && flags.as === undefined) {
      throw new CliError(
        'requesting uid or groups without impersonating a user: give --as beside --as-uid and --as-group',
      );
    }
    this.#flags = flags;
  }

  override async applyToHTTPSOptions(options: RequestOptions): Promise<void> {
    await super.applyToHTTPSOptions(options);
    const { as, asUid, asGroups } = this.#flags;
    const headers: OutgoingHttpHeaders = {};
    if (as !== undefined) headers['Impersonate-User'] = as;
    if (asUid !== undefined) headers['Impersonate-Uid'] = asUid;
    if (asGroups.length > 0) headers['Impersonate-Group'] = [...asGroups];
    options.headers = Object.assign(options.headers ?? {}, headers);
  }
}

function readFile(path: string): KubeConfig {
  const config = new KubeConfig();
  try {
    config.loadFromFile(path);
  } catch (error) {
    throw new CliError(`${path} can't be read as a kubeconfig: ${(error as Error).message.split('\n')[0]}`);
  }
  return config;
}

function firstOfEachName<Entry extends { readonly name: string }>(entries: readonly Entry[]): Entry[] {
  return [...Map.groupBy(entries, (entry) => entry.name).values()].map((group) => group[0]!);
}
