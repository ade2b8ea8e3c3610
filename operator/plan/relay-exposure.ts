import { type RelayExposure, takesHostPort } from '../api/exposure.ts';
import { Annotation } from '../api/meta.ts';
import { exposureRecord } from '../specs/exposure-record.ts';
import type { MetadataPatch, ObservedPod, ObservedRelay, World } from './world.ts';

/**
 * How peers reach this relay: as it was made, for where it listens never changes, and its sessions go on until it goes.
 * What the spec asks of the same type can change under it.
 */
export function exposureOf(world: World, relay: ObservedRelay, pod: ObservedPod | undefined): RelayExposure {
  const wanted = world.fleet.spec.exposure;
  const own = relay.exposure ?? { type: unrecordedType(world, pod) };
  return own.type === wanted.type ? wanted : own;
}

/** Of a relay that an earlier version made and that takes no port of its node: what its pod has tells. */
function unrecordedType(world: World, pod: ObservedPod | undefined): RelayExposure['type'] {
  const { type } = world.fleet.spec.exposure;
  const service = pod && world.endpointServices.get(pod.uid)?.type;
  if (service === 'LoadBalancer' || service === 'NodePort') return service;
  return takesHostPort(type) || pod?.annotations[Annotation.endpoints] !== undefined ? 'PodIP' : type;
}

/** Keeps the record of a relay at what applies to it, for the day on which the spec asks for another type. */
export function exposurePatch(relay: ObservedRelay, exposure: RelayExposure): MetadataPatch | undefined {
  const record = exposureRecord(exposure);
  if (relay.exposure && exposureRecord(relay.exposure) === record) return undefined;
  return { name: relay.name, uid: relay.uid, labels: {}, annotations: { [Annotation.exposure]: record } };
}
