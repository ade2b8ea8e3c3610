import type { KeyObject } from 'node:crypto';
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import process from 'node:process';

/** Master's signing key. */
export interface MasterKey {
  readonly privateKey: KeyObject;
  /** The 32 bytes of the Ed25519 public key. */
  readonly publicKey: Uint8Array;
  /** `k` and the first 16 hex digits of the public key, as deployed Masters derive it. */
  readonly keyId: string;
}

export function generateKey(): MasterKey {
  return describe(generateKeyPairSync('ed25519').privateKey);
}

/** Reads a PKCS #8 PEM file. Throws an error that names the file when it holds anything but an Ed25519 private key. */
export function readKeyFile(path: string): MasterKey {
  let key: KeyObject;
  try {
    key = createPrivateKey(readFileSync(path));
  } catch (error) {
    throw new Error(`${path}: not a readable PEM private key (${(error as Error).message})`);
  }
  if (key.asymmetricKeyType !== 'ed25519') {
    throw new Error(`${path}: holds an ${key.asymmetricKeyType} key, an Ed25519 private key is needed`);
  }
  return describe(key);
}

/** Reads the key, or makes one and writes it there the first time. */
export function loadOrCreateKey(path: string): MasterKey {
  if (existsSync(path)) return readKeyFile(path);
  const key = generateKey();
  writeKeyFile(path, key);
  return key;
}

/** Replaces the file as a whole, readable by its owner only. */
export function writeKeyFile(path: string, key: MasterKey): void {
  const temporary = `${path}.${process.pid}.new`;
  writeFileSync(temporary, key.privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  renameSync(temporary, path);
}

export function publicKeyHex(key: MasterKey): string {
  return Buffer.from(key.publicKey).toString('hex');
}

function describe(privateKey: KeyObject): MasterKey {
  const { x } = createPublicKey(privateKey).export({ format: 'jwk' });
  const publicKey = Buffer.from(x!, 'base64url');
  return { privateKey, publicKey, keyId: `k${publicKey.toString('hex', 0, 8)}` };
}
