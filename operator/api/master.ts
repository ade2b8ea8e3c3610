import { z } from 'zod';

import { cel, keyReference } from './fields.ts';

/** One Master public key: 64 hex digits, with its key id before an equals sign when it is known. */
export const MASTER_KEY_PATTERN: RegExp = /^([^\p{Cc}\p{Z}#][^\p{Cc}\p{Zl}\p{Zp}]{0,127}=)?[0-9a-fA-F]{64}$/u;

export const master = cel(
  z.object({
    url: cel(
      z
        .string()
        .min(8)
        .max(2048)
        .describe('Where the relays register: the Master’s base URL, such as https://master.wavry.dev.'),
      {
        rule: "isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHost() != ''",
        message: 'must be an absolute http or https URL, such as "https://master.wavry.dev"',
      },
      {
        rule: "!self.contains('@') && !self.contains('?') && !self.contains('#')",
        message: 'must hold no user, query or fragment; a token goes into a Secret, named by tokenFrom',
      },
    ),
    publicKeys: cel(
      z
        .array(z.string().max(193))
        .min(1)
        .max(8)
        .meta({ 'x-kubernetes-list-type': 'atomic' })
        .optional()
        .describe(
          'Master’s Ed25519 public keys that leases are checked with: 64 hex digits each, or kid=hex. List the old and the new one while Master rotates its key. Without any, the key that Master names at registration is trusted.',
        ),
      {
        rule: `self.all(k, k.matches(r'${MASTER_KEY_PATTERN.source}'))`,
        message: 'each key must be 64 hex digits, or a key id, "=" and 64 hex digits: kid=hex',
      },
    ),
    publicKeysFrom: cel(
      z
        .object({
          configMapKeyRef: keyReference('ConfigMap').optional(),
          secretKeyRef: keyReference('Secret').optional(),
        })
        .optional()
        .describe('Reads the public keys from a file of one key a line instead, re-read when it changes.'),
      {
        rule: 'has(self.configMapKeyRef) != has(self.secretKeyRef)',
        message: 'name either configMapKeyRef or secretKeyRef',
      },
    ),
    tokenFrom: z
      .object({ secretKeyRef: keyReference('Secret') })
      .optional()
      .describe('The bearer token that relays register with, where Master asks for one.'),
    adminTokenFrom: z
      .object({ secretKeyRef: keyReference('Secret') })
      .optional()
      .describe(
        'The bearer token of Master’s admin interface, with which the operator marks a relay Draining there. Without it Master may go on handing a draining relay out until it hears of its full load.',
      ),
    allowInsecureDev: z
      .boolean()
      .optional()
      .describe('Development only: relays don’t check lease signatures. Only with exposure.type PodIP.'),
  }),
  {
    rule: '!(has(self.publicKeys) && has(self.publicKeysFrom))',
    message: 'give publicKeys or publicKeysFrom, not both',
    reason: 'FieldValueForbidden',
    fieldPath: '.publicKeysFrom',
  },
).describe('The Master that the relays belong to.');
