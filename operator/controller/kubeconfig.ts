import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

import { KubeConfig } from '@kubernetes/client-node';

export interface KubeAccess {
  readonly kubeConfig: KubeConfig;
  /** True for a pod's own service account: pods can be reached directly then. */
  readonly inCluster: boolean;
  /** Namespace of the service account or the context. */
  readonly namespace: string;
}

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * client-go's order: the file that is named, $KUBECONFIG, the pod's service account, ~/.kube/config.
 * Throws an Error of one line that says what to do.
 */
export function loadKubeConfig(
  options: { readonly kubeconfig: string | undefined; readonly context: string | undefined },
  env: Readonly<Record<string, string | undefined>>,
): KubeAccess {
  const kubeConfig = new KubeConfig();
  const home = join(env['HOME'] ?? homedir(), '.kube/config');
  let inCluster = false;
  if (options.kubeconfig !== undefined) readFile(kubeConfig, options.kubeconfig, '--kubeconfig');
  else if (env['KUBECONFIG']) readFile(kubeConfig, env['KUBECONFIG'], 'KUBECONFIG');
  else if (env['KUBERNETES_SERVICE_HOST'] && existsSync(join(SERVICE_ACCOUNT, 'token'))) {
    kubeConfig.loadFromCluster();
    inCluster = true;
  } else if (existsSync(home)) readFile(kubeConfig, home, home);
  else throw new Error('no cluster is configured; give --kubeconfig, or run the operator in a cluster');

  if (options.context !== undefined) {
    if (!kubeConfig.getContextObject(options.context)) {
      const names = kubeConfig.getContexts().map((context) => context.name);
      throw new Error(
        `--context: the kubeconfig has no context "${options.context}"; it has ${names.join(', ') || 'none'}`,
      );
    }
    kubeConfig.setCurrentContext(options.context);
  }
  if (!kubeConfig.getCurrentCluster()) {
    throw new Error(
      `the kubeconfig's context "${kubeConfig.getCurrentContext()}" names no cluster; choose one with --context`,
    );
  }
  const context = kubeConfig.getContextObject(kubeConfig.getCurrentContext());
  return { kubeConfig, inCluster, namespace: context?.namespace ?? 'default' };
}

function readFile(kubeConfig: KubeConfig, path: string, source: string): void {
  try {
    kubeConfig.loadFromFile(path);
  } catch (error) {
    // What follows the first line is an excerpt of the file, which holds secrets.
    const [problem] = (error as Error).message.split('\n', 1);
    throw new Error(`${source}: ${path} can't be read as a kubeconfig: ${problem}`);
  }
}
