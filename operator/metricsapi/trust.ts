import { X509Certificate } from 'node:crypto';

/** Whom the cluster trusts to say who a client is: ConfigMap kube-system/extension-apiserver-authentication. */
export interface Trust {
  /** Signs certificates of users. */
  readonly clientCas: readonly X509Certificate[];
  /** Signs those that may speak for users: the API server's aggregator. */
  readonly requestHeaderCas: readonly X509Certificate[];
  /** Common names of those; empty for any that is signed. */
  readonly allowedNames: readonly string[];
  readonly usernameHeaders: readonly string[];
  readonly uidHeaders: readonly string[];
  readonly groupHeaders: readonly string[];
  readonly extraHeaderPrefixes: readonly string[];
}

export const TRUST_NAMESPACE = 'kube-system';
export const TRUST_CONFIG_MAP = 'extension-apiserver-authentication';

/**
 * Reads the ConfigMap that the API server publishes its settings in. Throws an Error that names the key which can't be
 * read: half a trust is none.
 */
export function readTrust(data: Readonly<Record<string, string>>): Trust {
  return {
    clientCas: certificates(data, 'client-ca-file'),
    requestHeaderCas: certificates(data, 'requestheader-client-ca-file'),
    allowedNames: names(data, 'requestheader-allowed-names'),
    usernameHeaders: names(data, 'requestheader-username-headers').map(lower),
    uidHeaders: names(data, 'requestheader-uid-headers').map(lower),
    groupHeaders: names(data, 'requestheader-group-headers').map(lower),
    extraHeaderPrefixes: names(data, 'requestheader-extra-headers-prefix').map(lower),
  };
}

/** The certificates of a bundle in PEM. Throws when one of them is none. */
export function parseBundle(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

/** Intermediates between a client's certificate and one that is trusted; none is the rule. */
const MOST_INTERMEDIATES = 4;
/** RFC 5280, 4.2.1.12: id-kp-clientAuth and anyExtendedKeyUsage. */
const CLIENT_USAGES = ['1.3.6.1.5.5.7.3.2', '2.5.29.37.0'];

/**
 * Whether one of `authorities` signed the certificate, directly or through intermediates that the client sent, for use by
 * a client and for now. OpenSSL has checked the connection against all authorities together; here it matters against which.
 */
export function isSignedBy(
  leaf: X509Certificate,
  authorities: readonly X509Certificate[],
  nowMs: number,
): boolean {
  const usages = (leaf as { readonly keyUsage?: readonly string[] }).keyUsage;
  if (usages !== undefined && !usages.some((usage) => CLIENT_USAGES.includes(usage))) return false;
  let certificate = leaf;
  for (let depth = 0; depth <= MOST_INTERMEDIATES; depth += 1) {
    if (!isValidAt(certificate, nowMs)) return false;
    if (authorities.some((ca) => isValidAt(ca, nowMs) && issued(ca, certificate))) return true;
    const issuer = certificate.issuerCertificate;
    if (!issuer || !issuer.ca || issuer.fingerprint256 === certificate.fingerprint256) return false;
    if (!issued(issuer, certificate)) return false;
    certificate = issuer;
  }
  return false;
}

function issued(issuer: X509Certificate, certificate: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function isValidAt(certificate: X509Certificate, nowMs: number): boolean {
  return nowMs >= certificate.validFromDate.getTime() && nowMs <= certificate.validToDate.getTime();
}

function certificates(data: Readonly<Record<string, string>>, key: string): X509Certificate[] {
  try {
    return parseBundle(data[key] ?? '');
  } catch (error) {
    throw new Error(`${key} holds something that is no certificate: ${(error as Error).message}`);
  }
}

function names(data: Readonly<Record<string, string>>, key: string): string[] {
  const text = data[key];
  if (text === undefined || text === '') return [];
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    list = undefined;
  }
  if (!Array.isArray(list) || !list.every((entry) => typeof entry === 'string' && entry.trim() !== '')) {
    throw new Error(`${key} is no list of names`);
  }
  return (list as string[]).map((entry) => entry.trim());
}

function lower(text: string): string {
  return text.toLowerCase();
}
