import { readFileSync, writeFileSync } from 'node:fs';
import type { KeyPair } from './pki.ts';

/** Writes a kubeconfig that carries its certificates (as JSON, which is YAML too), readable by its owner only. */
export function writeKubeconfig(
  path: string,
  options: { server: string; caFile: string; identity: KeyPair; user: string },
): void {
  const base64 = (file: string): string => readFileSync(file).toString('base64');
  const { server, caFile, identity, user } = options;
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'wavry-local', cluster: { server, 'certificate-authority-data': base64(caFile) } }],
    users: [
      {
        name: user,
        user: {
          'client-certificate-data': base64(identity.cert),
          'client-key-data': base64(identity.key),
        },
      },
    ],
    contexts: [{ name: 'wavry-local', context: { cluster: 'wavry-local', user } }],
    'current-context': 'wavry-local',
  };
  writeFileSync(path, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
}
