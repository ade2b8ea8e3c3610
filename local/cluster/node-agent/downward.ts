import { parseQuantity } from './quantity.ts';
import type { Container, FieldRef, Pod, ResourceFieldRef } from './resources.ts';

/** What of a pod isn't in its object (yet) when its containers start. */
export interface PodPlace {
  podIP: string;
  hostIP: string;
  /** Stands in for limits a container hasn't set. */
  allocatable: Readonly<Record<string, string>>;
}

/**
 * The value of a field for an environment variable or a file.
 *
 * @throws Error naming the field when the Downward API has none of that name.
 */
export function fieldValue(pod: Pod, field: FieldRef, place: PodPlace): string {
  const path = field.fieldPath;
  const subscript = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path);
  if (subscript) return pod.metadata[subscript[1] as 'labels' | 'annotations']?.[subscript[2]!] ?? '';
  switch (path) {
    case 'metadata.name':
      return pod.metadata.name;
    case 'metadata.namespace':
      return pod.metadata.namespace ?? '';
    case 'metadata.uid':
      return pod.metadata.uid;
    case 'metadata.labels':
      return formatMap(pod.metadata.labels ?? {});
    case 'metadata.annotations':
      return formatMap(pod.metadata.annotations ?? {});
    case 'spec.nodeName':
      return pod.spec.nodeName ?? '';
    case 'spec.serviceAccountName':
      return pod.spec.serviceAccountName ?? '';
    case 'status.podIP':
    case 'status.podIPs':
      return place.podIP;
    case 'status.hostIP':
    case 'status.hostIPs':
      return place.hostIP;
    default:
      throw new Error(`the Downward API has no field ${path}`);
  }
}

/** Resources are rounded up to whole divisors, and a limit or request that isn't set is the node's allocatable. */
export function resourceValue(container: Container, reference: ResourceFieldRef, place: PodPlace): string {
  const [kind, ...rest] = reference.resource.split('.');
  const name = rest.join('.');
  const set = kind === 'limits' || kind === 'requests' ? container.resources?.[kind]?.[name] : undefined;
  const fallback = kind === 'limits' ? place.allocatable[name] : '0';
  const divisor = reference.divisor && reference.divisor !== '0' ? parseQuantity(reference.divisor) : 1;
  // One part in 10^9 of slack: 100m / 1m must be 100, whatever binary fractions make of it.
  return String(Math.ceil(parseQuantity(set ?? fallback ?? '0') / divisor - 1e-9));
}

/** Source: kubernetes pkg/fieldpath FormatMap. */
function formatMap(map: Readonly<Record<string, string>>): string {
  return Object.keys(map)
    .sort()
    .map((key) => `${key}=${JSON.stringify(map[key])}`)
    .join('\n');
}
