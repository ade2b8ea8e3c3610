import { existsSync } from 'node:fs';
import type { OutgoingHttpHeaders } from 'node:http';
import type { RequestOptions } from 'node:https';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

import { KubeConfig } from '@kubernetes/client-node';

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
  const config = chosen(readKubeConfig(flags.kubeconfig, env), flags);
  const connection = new Connection(config, env);
  return {
    client: new KubeClient(connection, { userAgent: `kubectl-wavry/${version}` }),
    namespace: config.getContextObject(config.getCurrentContext())?.namespace ?? 'default',
    close: () => connection.close(),
  };
}

/**
 * Files of $KUBECONFIG are merged as kubectl does: what is missing is passed over, and of two things of one name the
 * first counts (https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/).
 */
export function readKubeConfig(file: string | undefined, env: Environment): KubeConfig {
  if (file !== undefined) {
    if (!existsSync(file)) throw new CliError(`stat ${file}: no such file or directory (--kubeconfig)`);
    return readFile(file);
  }
  const listed = (env['KUBECONFIG'] ?? '').split(delimiter).filter((path) => path !== '');
  const paths = listed.length > 0 ? listed : [join(env['HOME'] ?? homedir(), '.kube', 'config')];
  const configs = paths.filter((path) => existsSync(path)).map(readFile);
  if (configs.length === 0) {
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
  if (!context && (flags.context !== undefined || flags.cluster === undefined)) {
    const names = config.getContexts().map((context) => context.name);
    throw new CliError(
      name === ''
        ? `no context is current; choose one with --context: ${names.join(', ')}`
        : `context "${name}" does not exist; the kubeconfig has ${names.join(', ') || 'none'}`,
    );
  }
  const cluster = flags.cluster ?? context?.cluster ?? '';
  const user = flags.user ?? context?.user ?? '';
  if (!config.getCluster(cluster))
    throw new CliError(`cluster "${cluster}" does not exist in the kubeconfig`);
  if (user !== '' && !config.getUser(user)) {
    throw new CliError(`auth info "${user}" does not exist in the kubeconfig`);
  }
  const result = new ImpersonatingConfig(flags);
  result.loadFromOptions({
    clusters: config.getClusters(),
    users: config.getUsers(),
    contexts: [{ ...context, name: 'chosen', cluster, user }],
    currentContext: 'chosen',
  });
  return result;
}

/** https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation */
class ImpersonatingConfig extends KubeConfig {
  readonly #flags: AccessFlags;

  constructor(flags: AccessFlags) {
    super();
    if (flags.asGroups.length > 0 && flags.as === undefined) {
      throw new CliError('requesting groups without impersonating a user: give --as beside --as-group');
    }
    this.#flags = flags;
  }

  override async applyToHTTPSOptions(options: RequestOptions): Promise<void> {
    await super.applyToHTTPSOptions(options);
    const { as, asGroups } = this.#flags;
    const headers: OutgoingHttpHeaders = {};
    if (as !== undefined) headers['Impersonate-User'] = as;
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
