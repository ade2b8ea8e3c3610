import { z } from 'zod';

/**
 * Building blocks of the CRD's schema: zod types that carry what only Kubernetes knows.
 * `cel` adds rules of https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules.
 */
export interface CelRule {
  readonly rule: string;
  readonly message: string;
  readonly reason?: 'FieldValueInvalid' | 'FieldValueForbidden' | 'FieldValueRequired';
  readonly fieldPath?: string;
}

export function cel<T extends z.ZodType>(type: T, ...rules: CelRule[]): T {
  return type.meta({ ...type.meta(), 'x-kubernetes-validations': rules });
}

/**
 * A string of a form that a regular expression describes, and `and`. A rule judges it, as all that the API server says of a
 * pattern is the expression; the pattern is for those who know no rules.
 */
export function formed(type: z.ZodString, pattern: RegExp, message: string, and?: string): z.ZodString {
  const matches = `self.matches(r'${pattern.source}')`;
  return cel(type.regex(pattern, message), {
    rule: and === undefined ? matches : `${matches} && ${and}`,
    message,
  });
}

/** A Go duration such as `90s`, `5m` or `1h30m`, between two bounds given in the same form. */
export function duration(description: string, least: string, most: string): z.ZodString {
  return formed(
    z.string().max(32).describe(description),
    /^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$/,
    `must be a duration from ${least} to ${most}, such as "${least}"`,
    `duration(self) >= duration('${least}') && duration(self) <= duration('${most}')`,
  );
}

export function int32(description: string, least: number, most: number): z.ZodInt {
  return z.int().min(least).max(most).meta({ format: 'int32' }).describe(description);
}

export function int64(description: string, least: number, most: number): z.ZodInt {
  return z.int().min(least).max(most).meta({ format: 'int64' }).describe(description);
}

/** A name of a Secret, a ConfigMap or the like: an RFC 1123 subdomain. */
export function objectName(description: string): z.ZodString {
  return formed(
    z.string().min(1).max(253).describe(description),
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
    'must be the name of an object: lower-case letters, digits, "-" and ".", such as "wavry-master"',
  );
}

export function keyReference(what: string): z.ZodObject<{ name: z.ZodString; key: z.ZodString }> {
  return z
    .object({
      name: objectName(`Name of the ${what}, in the namespace of the WavryRelay.`),
      key: formed(
        z.string().min(1).max(253).describe(`Key inside the ${what}.`),
        /^[-._a-zA-Z0-9]+$/,
        'must be a key of letters, digits, "-", "_" and ".", such as "token"',
      ),
    })
    .describe(`Selects a key of a ${what}.`);
}

export function stringMap(description: string, most: number): z.ZodRecord<z.ZodString, z.ZodString> {
  return z.record(z.string(), z.string().max(4096)).meta({ maxProperties: most }).describe(description);
}

/** A part of the pod template that is handed on as it is; the API server judges it with the Deployment. */
export function podFragment(description: string): z.ZodRecord<z.ZodString, z.ZodUnknown> {
  return z
    .record(z.string(), z.unknown())
    .meta({ 'x-kubernetes-preserve-unknown-fields': true })
    .describe(description);
}

export function podFragments(
  description: string,
  most: number,
): z.ZodArray<z.ZodRecord<z.ZodString, z.ZodUnknown>> {
  return z.array(podFragment('See the Kubernetes API reference of the pod.')).max(most).describe(description);
}

/** An absolute number or a percentage, as in a Deployment's rolling update. */
export function intOrPercent(description: string): z.ZodType<number | string> {
  const pattern = '^((100|[0-9]{1,2})%|[0-9]+)$';
  const type = z
    .any()
    .meta({ anyOf: [{ type: 'integer' }, { type: 'string' }], 'x-kubernetes-int-or-string': true, pattern })
    .describe(description);
  return cel(type, {
    rule: `type(self) == int ? self >= 0 : self.matches(r'${pattern}')`,
    message: 'must be a number of relays or a percentage from 0% to 100%, such as 1 or "25%"',
  });
}
