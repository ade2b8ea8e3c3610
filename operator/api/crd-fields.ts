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

/** What of a value a schema knows. */
export function onlyKnown<T>(value: T, schema: FieldSchema): T {
  if (Array.isArray(value)) {
    const { items } = schema;
    return (items ? value.map((item: unknown) => onlyKnown(item, items)) : value) as T;
  }
  // An object without fixed fields takes any.
  const { properties } = schema;
  if (typeof value !== 'object' || value === null || !properties) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, below]: [string, unknown]) => {
      const known = properties[name];
      return known ? [[name, onlyKnown(below, known)]] : [];
    }),
  ) as T;
}

function* missing(known: FieldSchema, served: FieldSchema, prefix: string): Generator<string> {
  for (const [name, field] of Object.entries(known.properties ?? {})) {
    const there = served.properties?.[name];
    if (there === undefined) yield `${prefix}${name}`;
    else yield* missing(field, there, `${prefix}${name}.`);
  }
  if (known.items) yield* missing(known.items, served.items ?? {}, prefix.replace(/\.$/, '[].'));
}
