import { customResourceDefinition } from './crd.ts';

/** As far as fields go, the same in a CRD and in the OpenAPI document that the API server makes of it. */
export interface FieldSchema {
  readonly properties?: Readonly<Record<string, FieldSchema>>;
  readonly items?: FieldSchema;
}

/**
 * Fields of spec and status that this operator works with and that the API server would drop or refuse, as its CRD is older:
 * `spec.pod.runAsUser`. What is below such a field isn't named.
 */
export function fieldsMissingIn(served: FieldSchema): readonly string[] {
  const { versions } = customResourceDefinition()['spec'] as {
    versions: readonly { schema: { openAPIV3Schema: FieldSchema } }[];
  };
  const { spec, status } = versions[0]!.schema.openAPIV3Schema.properties ?? {};
  return [...missing({ properties: { spec: spec!, status: status! } }, served, '')];
}

function* missing(known: FieldSchema, served: FieldSchema, prefix: string): Generator<string> {
  for (const [name, field] of Object.entries(known.properties ?? {})) {
    const there = served.properties?.[name];
    if (there === undefined) yield `${prefix}${name}`;
    else yield* missing(field, there, `${prefix}${name}.`);
  }
  if (known.items) yield* missing(known.items, served.items ?? {}, prefix.replace(/\.$/, '[].'));
}
