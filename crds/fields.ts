/** A schema as it stands in the CRD: OpenAPI v3 in the structural form. */
export interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly format?: string;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly maxProperties?: number;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly 'x-kubernetes-int-or-string'?: boolean;
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean;
  readonly 'x-kubernetes-validations'?: readonly { readonly rule: string; readonly message?: string }[];
  readonly [keyword: string]: unknown;
}

/** One field, as a person reads of it. */
export interface Field {
  readonly name: string;
  readonly schema: Schema;
  readonly required: boolean;
  readonly type: string;
  readonly description: string;
  /** As it is written in YAML; undefined where there is none. Objects whose fields have defaults have none of their own. */
  readonly defaultText: string | undefined;
  /** What is allowed, a phrase each. */
  readonly bounds: readonly string[];
}

/** The schema of `spec` or `status` in a CRD's one version. */
export function schemaOf(crd: Readonly<Record<string, unknown>>, part: 'spec' | 'status'): Schema {
  const { versions } = crd['spec'] as {
    versions: { schema: { openAPIV3Schema: { properties: Record<string, Schema> } } }[];
  };
  return versions[0]!.schema.openAPIV3Schema.properties[part]!;
}

export function fieldsOf(schema: Schema): Field[] {
  return Object.entries(schema.properties ?? {}).map(([name, field]) => ({
    name,
    schema: field,
    required: (schema.required ?? []).includes(name),
    type: typeOf(field),
    description: field.description ?? '',
    defaultText: defaultOf(field),
    bounds: boundsOf(field),
  }));
}

/** The object whose fields stand below a field: its own, or that of each of its items. */
export function objectBelow(schema: Schema): Schema | undefined {
  const object = schema.type === 'array' ? schema.items : schema;
  return object?.properties ? object : undefined;
}

/** `1 to 3 items`; undefined where nothing bounds it. */
export function boundsText(
  least: number | undefined,
  most: number | undefined,
  unit: string,
): string | undefined {
  if (least === undefined && most === undefined) return undefined;
  const range =
    most === undefined
      ? `at least ${least}`
      : least === undefined
        ? `at most ${most}`
        : `${least} to ${most}`;
  return unit === '' ? range : `${range} ${unit}`;
}

function typeOf(schema: Schema): string {
  if (schema['x-kubernetes-int-or-string']) return 'integer or string';
  if (schema.type === 'array') return `list of ${typeOf(schema.items ?? {})}`;
  if (schema.additionalProperties) return `map of ${typeOf(schema.additionalProperties)}`;
  if (schema.format === 'date-time') return 'time (RFC 3339)';
  return schema.type ?? 'any';
}

function defaultOf(schema: Schema): string | undefined {
  const value = schema.default;
  if (value === undefined || (typeof value === 'object' && value !== null)) return undefined;
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function boundsOf(schema: Schema): string[] {
  const messages = [
    ...(schema['x-kubernetes-validations'] ?? []),
    ...(schema.items?.['x-kubernetes-validations'] ?? []),
  ].flatMap((rule) => (rule.message === undefined ? [] : [rule.message]));
  const item = schema.items ?? schema.additionalProperties;
  return [
    ...(schema.enum ? [schema.enum.join(', ')] : []),
    ...range(schema.minimum, schema.maximum, ''),
    // Where a rule speaks of the value, its length and its form are said there already.
    ...(messages.length > 0 ? [] : range(schema.minLength, schema.maxLength, 'characters')),
    ...(messages.length > 0 || schema.pattern === undefined ? [] : [`matches ${schema.pattern}`]),
    ...range(schema.minItems, schema.maxItems, 'items'),
    ...range(undefined, schema.maxProperties, 'entries'),
    ...(messages.length > 0 ? [] : range(item?.minLength, item?.maxLength, 'characters each')),
    ...messages,
  ];
}

function range(least: number | undefined, most: number | undefined, unit: string): string[] {
  const text = boundsText(least, most, unit);
  return text === undefined ? [] : [text];
}
