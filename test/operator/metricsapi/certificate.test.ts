import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';

import {
  isAcceptedBy,
  issueServingCertificate,
  readServingCertificate,
  renewalDueMs,
} from '../../../operator/metricsapi/certificate.ts';
import { parseBundle } from '../../../operator/metricsapi/trust.ts';

const NAMES = ['metrics.wavry-system.svc', 'metrics.wavry-system', 'metrics.wavry-system.svc.cluster.local'];
const DAY = 24 * 3_600_000;
const NOW = Date.parse('2030-01-01T00:00:00Z');

test('a certificate serves the names it is for, and nobody can sign another', async () => {
  const material = await issueServingCertificate(NAMES, undefined, NOW);
  const certificate = readServingCertificate(material, NAMES, NOW);
  assert.ok(certificate);
  const leaf = new X509Certificate(material.cert);
  const [ca, ...others] = parseBundle(material.bundle);
  assert.deepEqual(others, []);
  assert.ok(ca?.ca && !leaf.ca);
  assert.ok(leaf.verify(ca.publicKey) && ca.verify(ca.publicKey));
  assert.equal(leaf.checkHost('another.svc'), undefined);
  assert.ok(!ca.checkPrivateKey((await import('node:crypto')).createPrivateKey(material.key)));
  assert.equal(certificate.notAfterMs, NOW + 90 * DAY);
  assert.ok(renewalDueMs(certificate) > NOW + 59 * DAY && renewalDueMs(certificate) < NOW + 61 * DAY);
});

test('what can’t be served is no certificate', async () => {
  const [material, other] = await Promise.all([
    issueServingCertificate(NAMES, undefined, NOW),
    issueServingCertificate(NAMES, undefined, NOW),
  ]);
  const read = (change: object, names: readonly string[] = NAMES, nowMs = NOW): unknown =>
    readServingCertificate({ ...material, ...change }, names, nowMs);
  assert.ok(read({}));
  assert.equal(read({ key: other.key }), undefined);
  assert.equal(read({ bundle: other.bundle }), undefined);
  assert.equal(read({ cert: '' }), undefined);
  assert.equal(read({ cert: 'nonsense' }), undefined);
  assert.equal(read({ bundle: 'nonsense' }), undefined);
  assert.equal(read({}, ['another.svc']), undefined);
  assert.equal(read({}, NAMES, NOW + 91 * DAY), undefined);
});

test('the authorities of before are handed on, until they have expired', async () => {
  let bundle: string | undefined;
  const certificates = [];
  for (const day of [0, 20, 40, 60]) {
    const material = await issueServingCertificate(NAMES, bundle, NOW + day * DAY);
    certificates.push(readServingCertificate(material, NAMES, NOW + day * DAY)!);
    bundle = material.bundle;
  }
  assert.deepEqual(
    certificates.map((certificate) => isAcceptedBy(certificate, bundle!)),
    [false, true, true, true],
    'the newest three',
  );
  const late = await issueServingCertificate(NAMES, bundle, NOW + 140 * DAY);
  assert.equal(parseBundle(late.bundle).length, 2);
  assert.ok(isAcceptedBy(certificates[3]!, late.bundle));
  const broken = await issueServingCertificate(NAMES, 'nonsense', NOW);
  assert.equal(parseBundle(broken.bundle).length, 1);
});
