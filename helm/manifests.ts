import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { parseArgs, promisify } from 'node:util';

import { parseAllDocuments, stringify } from 'yaml';

import { BinaryUnavailableError, findBinaries } from '../local/cluster/binaries.ts';
import { METRICS_API_SERVICES } from '../operator/plan/metrics-api.ts';

const CHART = join(import.meta.dirname, 'wavry-relay-operator');
const RELEASE = 'wavry-relay-operator';
const HELP = `Prints the operator's chart as plain objects, for "kubectl apply -f -".

Usage: npm run --silent manifests -- [flags] [-- flags of helm template, such as --set replicas=1]

  --namespace=NAME  Namespace of the operator (wavry-system); part of what is printed.
  --api-services    With the two APIServices of custom.metrics.k8s.io, by which spec.autoscaling works: a cluster has one owner of
                    them, and "kubectl apply" takes them over from somebody else.
  --output=FOLDER   Writes operator.yaml and a kustomization.yaml there instead: a base for kustomize.
`;

const LEFT_OUT = `left out: APIServices ${METRICS_API_SERVICES.join(' and ')}, without which spec.autoscaling has no effect; they may be somebody else's. Where "kubectl get apiservice ${METRICS_API_SERVICES.join(' ')}" finds none, add --api-services`;

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string } & Metadata;
  readonly [field: string]: unknown;
}

/**
 * What `helm template` makes of the operator's chart, with its namespace and without what only helm understands.
 *
 * @param helm path of the program
 * @param args further flags for it
 * @throws Error with what helm says
 */
export async function plainManifests(
  helm: string,
  namespace: string,
  args: readonly string[] = [],
): Promise<readonly Manifest[]> {
  const { stdout } = await promisify(execFile)(
    helm,
    [
      'template',
      RELEASE,
      CHART,
      `--namespace=${namespace}`,
      '--kube-version=1.36.3',
      // Hooks are steps of helm's; a plain object of theirs would run at once and stay.
      '--no-hooks',
      ...args,
    ],
    { maxBuffer: 2 ** 26 },
  );
  const rendered = parseAllDocuments(stdout).flatMap(
    (document) => (document.toJS() as Manifest | null) ?? [],
  );
  return [
    {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: {
        name: namespace,
        labels: {
          // The operator needs no more: https://kubernetes.io/docs/concepts/security/pod-security-standards/
          'pod-security.kubernetes.io/enforce': 'restricted',
          'app.kubernetes.io/part-of': RELEASE,
        },
      },
    },
    ...rendered.filter(({ metadata }) => metadata.labels?.[COMPONENT] !== 'test').map(withoutHelm),
  ];
}

export function asYaml(manifests: readonly Manifest[]): string {
  return manifests
    .map((manifest) => stringify(manifest, { lineWidth: 0, aliasDuplicateObjects: false }))
    .join('---\n');
}

export const KUSTOMIZATION = `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - operator.yaml
`;

/** What "helm test" needs is of no use without helm. */
const COMPONENT = 'app.kubernetes.io/component';
const HELM_ONLY = new Set(['helm.sh/chart', 'helm.sh/resource-policy', 'app.kubernetes.io/managed-by']);

/** Nothing says any more that helm manages it: wherever labels and annotations stand, those of a pod's template included. */
function withoutHelm(manifest: Manifest): Manifest {
  const plain = structuredClone(manifest) as Manifest & { spec?: { template?: { metadata?: Metadata } } };
  for (const metadata of [plain.metadata, plain.spec?.template?.metadata ?? {}]) {
    for (const part of ['labels', 'annotations'] as const) {
      const kept = Object.entries(metadata[part] ?? {}).filter(([name]) => !HELM_ONLY.has(name));
      if (kept.length > 0) metadata[part] = Object.fromEntries(kept);
      else delete metadata[part];
    }
  }
  return plain;
}

interface Metadata {
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

async function main(): Promise<number> {
  const end = process.argv.indexOf('--', 2);
  const own = process.argv.slice(2, end < 0 ? undefined : end);
  try {
    const { values } = parseArgs({
      args: own,
      options: {
        namespace: { type: 'string', default: 'wavry-system' },
        'api-services': { type: 'boolean', default: false },
        output: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    });
    if (values.help) {
      process.stdout.write(HELP);
      return 0;
    }
    const { helm } = await findBinaries(['helm'], {
      onProgress: ({ binary, state, seconds }) => {
        if (state === 'building' && seconds % 10 === 0) console.error(`building ${binary}: ${seconds} s`);
      },
    });
    const helmArgs = [
      `--set=customMetrics.apiServices=${values['api-services']}`,
      ...(end < 0 ? [] : process.argv.slice(end + 1)),
    ];
    const manifests = await plainManifests(helm, values.namespace, helmArgs);
    const text = asYaml(manifests);
    if (values.output === undefined) process.stdout.write(text);
    else {
      mkdirSync(values.output, { recursive: true });
      writeFileSync(join(values.output, 'operator.yaml'), text);
      writeFileSync(join(values.output, 'kustomization.yaml'), KUSTOMIZATION);
      console.error(`written: kubectl apply -k ${values.output}`);
    }
    if (text.includes('--metrics-api-service=') && manifests.every(({ kind }) => kind !== 'APIService'))
      console.error(LEFT_OUT);
    return 0;
  } catch (error) {
    if (error instanceof BinaryUnavailableError) console.error(error.message);
    else
      console.error(
        `manifests: ${(error as { stderr?: string }).stderr?.trim() || (error as Error).message}`,
      );
    return 1;
  }
}

if (import.meta.main) process.exitCode = await main();
