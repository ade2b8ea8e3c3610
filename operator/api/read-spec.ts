import { spec as specType, type WavryRelaySpec } from './spec.ts';

/** What this version of the operator makes of a spec that the API server let through. */
export interface SpecReading {
  /** Undefined when it can't be worked with. */
  readonly spec: WavryRelaySpec | undefined;
  /** Why it can't, each with the field. */
  readonly problems: readonly string[];
  /** Fields that this version doesn't know, such as `spec.exposure.quic`: the CRD in the cluster is newer. */
  readonly unknownFields: readonly string[];
}

/** More of them help nobody. */
const MOST_NAMED = 8;

/**
 * Admission judges a spec by the CRD in the cluster, which may be of another version than the operator: it may lack
 * defaults, and allow values and fields that are news here.
 */
export function readSpec(value: unknown): SpecReading {
  const reading = specType.safeParse(value);
  if (!reading.success) {
    const problems = reading.error.issues.map(
      (issue) => `${['spec', ...issue.path].map(String).join('.')}: ${issue.message}`,
    );
    return { spec: undefined, problems: problems.slice(0, MOST_NAMED), unknownFields: [] };
  }
  const unknownFields = [...missingFields(value, reading.data, 'spec')];
  return { spec: reading.data, problems: [], unknownFields: unknownFields.slice(0, MOST_NAMED) };
}

/** Fields of `value` that `known`, from which the schema removed what it doesn't know, lacks. */
function* missingFields(value: unknown, known: unknown, path: string): Generator<string> {
  if (typeof value !== 'object' || value === null || typeof known !== 'object' || known === null) return;
  for (const [field, below] of Object.entries(value)) {
    const place = Array.isArray(value) ? `${path}[${field}]` : `${path}.${field}`;
    if (Object.hasOwn(known, field))
      yield* missingFields(below, (known as Record<string, unknown>)[field], place);
    else yield place;
  }
}
