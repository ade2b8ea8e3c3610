import { createPrivateKey, type KeyObject, webcrypto, X509Certificate } from 'node:crypto';

import { parseBundle } from './trust.ts';

/** What the replicas of the operator share to serve under one name: all PEM. */
export interface ServingMaterial {
  readonly cert: string;
  readonly key: string;
  /** Authorities that clients are to trust: that of `cert` first, then earlier ones until they have expired. */
  readonly bundle: string;
}

export interface ServingCertificate extends ServingMaterial {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

const LIFETIME_MS = 90 * 24 * 3_600_000;
/** Clocks of the API servers may be behind. */
const BACKDATED_MS = 3_600_000;
/** Authorities before the present one that are still handed out. */
const EARLIER_AUTHORITIES = 2;
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

/**
 * Makes an authority and lets it sign one certificate for the names of a Service. The authority's key isn't kept: with it
 * one could sign for anybody. The bundle of before goes on, so that nothing fails while the news spreads.
 */
export async function issueServingCertificate(
  names: readonly string[],
  before: string | undefined,
  nowMs: number,
): Promise<ServingMaterial> {
  // 21 MB of memory, needed by one replica once in two months.
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  const validity = {
    notBefore: new Date(nowMs - BACKDATED_MS),
    notAfter: new Date(nowMs + LIFETIME_MS),
    signingAlgorithm: ALGORITHM,
  };
  const [caKeys, keys] = await Promise.all([generateKeys(), generateKeys()]);
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    ...validity,
    serialNumber: serialNumber(),
    name: `CN=wavry-relay-operator-metrics-ca@${Math.floor(nowMs / 1000)}`,
    keys: caKeys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      await x509.SubjectKeyIdentifierExtension.create(caKeys.publicKey),
    ],
  });
  const cert = await x509.X509CertificateGenerator.create({
    ...validity,
    serialNumber: serialNumber(),
    subject: `CN=${names[0]?.slice(0, 64)}`,
    issuer: ca.subject,
    signingKey: caKeys.privateKey,
    publicKey: keys.publicKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: 'dns', value }))),
      await x509.AuthorityKeyIdentifierExtension.create(caKeys.publicKey),
    ],
  });
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  const key = createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' });
  return {
    cert: pem(new X509Certificate(Buffer.from(cert.rawData))),
    key: key.export({ format: 'pem', type: 'pkcs8' }),
    bundle: [
      pem(new X509Certificate(Buffer.from(ca.rawData))),
      ...stillValid(before, nowMs).slice(0, EARLIER_AUTHORITIES).map(pem),
    ].join(''),
  };
}

/** Checks what a Secret holds: undefined when it is nothing that can be served under these names. */
export function readServingCertificate(
  material: Partial<ServingMaterial>,
  names: readonly string[],
  nowMs: number,
): ServingCertificate | undefined {
  const { cert, key, bundle } = material;
  if (!cert || !key || !bundle) return undefined;
  let leaf: X509Certificate;
  let secret: KeyObject;
  let authorities: readonly X509Certificate[];
  try {
    leaf = new X509Certificate(cert);
    secret = createPrivateKey(key);
    authorities = parseBundle(bundle);
  } catch {
    return undefined;
  }
  const fits =
    leaf.checkPrivateKey(secret) &&
    names.every((name) => leaf.checkHost(name) !== undefined) &&
    authorities.some((ca) => leaf.checkIssued(ca) && leaf.verify(ca.publicKey)) &&
    nowMs < leaf.validToDate.getTime();
  if (!fits) return undefined;
  return {
    cert,
    key,
    bundle,
    notBeforeMs: leaf.validFromDate.getTime(),
    notAfterMs: leaf.validToDate.getTime(),
  };
}

/** With a third of its life left. */
export function renewalDueMs({ notBeforeMs, notAfterMs }: ServingCertificate): number {
  return notAfterMs - (notAfterMs - notBeforeMs) / 3;
}

/** Whether who trusts this bundle accepts the certificate. */
export function isAcceptedBy(certificate: ServingCertificate, bundle: string): boolean {
  const leaf = new X509Certificate(certificate.cert);
  try {
    return parseBundle(bundle).some((ca) => leaf.checkIssued(ca) && leaf.verify(ca.publicKey));
  } catch {
    return false;
  }
}

function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

/** RFC 5280, 4.1.2.2: positive, at most 20 octets. */
function serialNumber(): string {
  const bytes = Buffer.from(webcrypto.getRandomValues(new Uint8Array(16)));
  bytes[0] = bytes[0]! & 0x7f || 1;
  return bytes.toString('hex');
}

function stillValid(bundle: string | undefined, nowMs: number): X509Certificate[] {
  try {
    return parseBundle(bundle ?? '').filter((ca) => nowMs < ca.validToDate.getTime());
  } catch {
    return [];
  }
}

function pem(certificate: X509Certificate): string {
  return certificate.toString();
}
