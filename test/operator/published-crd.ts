type Json = Record<string, unknown>;

/** As the API server publishes a CRD. */
export function publishedCrd(crd: Json): Json {
  const { versions } = crd['spec'] as { versions: { schema: { openAPIV3Schema: Json } }[] };
  const kind = { group: 'wavry.dev', version: 'v1alpha1', kind: 'WavryRelay' };
  return {
    components: {
      schemas: {
        'dev.wavry.v1alpha1.WavryRelayList': {
          'x-kubernetes-group-version-kind': [{ ...kind, kind: 'WavryRelayList' }],
        },
        'dev.wavry.v1alpha1.WavryRelay': {
          ...versions[0]!.schema.openAPIV3Schema,
          'x-kubernetes-group-version-kind': [kind],
        },
      },
    },
  };
}

/** A CRD in which no object has fields of these names. */
export function withoutFields<T>(value: T, ...names: readonly string[]): T {
  if (Array.isArray(value)) return value.map((item) => withoutFields(item as unknown, ...names)) as T;
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, below]) => [
    key,
    key === 'properties'
      ? withoutFields(
          Object.fromEntries(Object.entries(below as Json).filter(([name]) => !names.includes(name))),
          ...names,
        )
      : withoutFields(below as unknown, ...names),
  ]);
  return Object.fromEntries(entries) as T;
}
