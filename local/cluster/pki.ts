import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** A certificate and its key, as files. */
export interface KeyPair {
  cert: string;
  key: string;
}

/** Everything the control plane and its clients show each other, as paths of PEM files. */
export interface Pki {
  ca: KeyPair;
  /** Signs who may speak for a user towards aggregated API servers. */
  frontProxyCa: KeyPair;
  frontProxyClient: KeyPair;
  apiServer: KeyPair;
  /** The API server as client of the node agent. */
  apiServerKubeletClient: KeyPair;
  kubelet: KeyPair;
  admin: KeyPair;
  controllerManager: KeyPair;
  scheduler: KeyPair;
  nodeAgent: KeyPair;
  serviceAccount: { publicKey: string; privateKey: string };
}

export interface PkiOptions {
  openssl: string;
  apiServerNames: readonly string[];
  kubeletAddresses: readonly string[];
}

/** Makes the certificates of one cluster in `directory`; about 0.1 s. They last a year, longer than any local cluster. */
export async function createPki(directory: string, options: PkiOptions): Promise<Pki> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const config = join(directory, 'openssl.cnf');
  writeFileSync(config, '[req]\ndistinguished_name=dn\n[dn]\n');
  const issue = async (
    name: string,
    subject: string,
    extensions: string[],
    signer?: KeyPair,
  ): Promise<KeyPair> => {
    const pair = { cert: join(directory, `${name}.crt`), key: join(directory, `${name}.key`) };
    await run(options.openssl, [
      'req',
      '-x509',
      '-config',
      config,
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '365',
      '-subj',
      subject,
      '-keyout',
      pair.key,
      '-out',
      pair.cert,
      ...extensions.flatMap((extension) => ['-addext', extension]),
      ...(signer ? ['-CA', signer.cert, '-CAkey', signer.key] : []),
    ]);
    return pair;
  };
  const authority = (name: string): Promise<KeyPair> =>
    issue(name, `/CN=${name}`, [
      'basicConstraints=critical,CA:TRUE',
      'keyUsage=critical,keyCertSign,cRLSign',
    ]);

  const [ca, frontProxyCa] = await Promise.all([authority('ca'), authority('front-proxy-ca')]);
  const client = (name: string, user: string, group?: string, signer = ca): Promise<KeyPair> =>
    issue(name, `${group ? `/O=${group}` : ''}/CN=${user}`, usage('clientAuth'), signer);
  const server = (name: string, names: readonly string[]): Promise<KeyPair> =>
    issue(
      name,
      `/CN=${name}`,
      [...usage('serverAuth'), `subjectAltName=${names.map(altName).join(',')}`],
      ca,
    );

  const [
    apiServer,
    kubelet,
    frontProxyClient,
    apiServerKubeletClient,
    admin,
    controllerManager,
    scheduler,
    nodeAgent,
  ] = await Promise.all([
    server('kube-apiserver', options.apiServerNames),
    server('kubelet', options.kubeletAddresses),
    client('front-proxy-client', 'front-proxy-client', undefined, frontProxyCa),
    client('apiserver-kubelet-client', 'kube-apiserver-kubelet-client', 'system:masters'),
    client('admin', 'kubernetes-admin', 'system:masters'),
    client('controller-manager', 'system:kube-controller-manager'),
    client('scheduler', 'system:kube-scheduler'),
    client('node-agent', 'wavry-node-agent', 'system:masters'),
  ]);
  return {
    ca,
    frontProxyCa,
    frontProxyClient,
    apiServer,
    apiServerKubeletClient,
    kubelet,
    admin,
    controllerManager,
    scheduler,
    nodeAgent,
    serviceAccount: serviceAccountKeys(directory),
  };
}

const run = promisify(execFile);

function usage(extended: 'clientAuth' | 'serverAuth'): string[] {
  return [
    'basicConstraints=critical,CA:FALSE',
    'keyUsage=critical,digitalSignature',
    `extendedKeyUsage=${extended}`,
  ];
}

function altName(name: string): string {
  return /^[\d.]+$/.test(name) ? `IP:${name}` : `DNS:${name}`;
}

function serviceAccountKeys(directory: string): Pki['serviceAccount'] {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const files = { publicKey: join(directory, 'sa.pub'), privateKey: join(directory, 'sa.key') };
  writeFileSync(files.publicKey, publicKey.export({ type: 'spki', format: 'pem' }));
  writeFileSync(files.privateKey, privateKey.export({ type: 'sec1', format: 'pem' }), { mode: 0o600 });
  return files;
}
