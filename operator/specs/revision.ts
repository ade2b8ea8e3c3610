import { createHash } from 'node:crypto';

import { capacityOf, type Fleet } from './fleet.ts';

/**
 * Bumped by hand when a relay's pod has to change although no field of its WavryRelay did. An operator upgrade
 * that leaves it alone rolls nothing (design-operator 2).
 */
const TEMPLATE_VERSION = 1;

/**
 * The revision of a fleet: eight hex digits over the explicit list of inputs that a relay can only take by starting
 * again. Names, ports, Master keys and tokens, endpoints and replicas are not among them.
 */
export function revisionOf(fleet: Fleet): string {
  const { spec } = fleet;
  const inputs = {
    template: TEMPLATE_VERSION,
    image: spec.image ?? fleet.defaultImage,
    restartedAt: spec.restartedAt,
    region: spec.region,
    asn: spec.asn,
    capacity: capacityOf(spec),
    limits: spec.limits,
    sessions: spec.sessions,
    masterUrl: spec.master.url,
    keysFrom: spec.master.publicKeysFrom,
    pinned: spec.master.publicKeys !== undefined,
    tokenFrom: spec.master.tokenFrom,
    allowInsecureDev: spec.master.allowInsecureDev,
    exposure: spec.exposure.type,
    // A Service keeps it for life (core/v1 validateLoadBalancerClassField).
    loadBalancerClass: spec.exposure.serviceTemplate?.loadBalancerClass,
    drainTimeout: spec.drain.timeout,
    pod: spec.pod,
  };
  return createHash('sha256').update(canonical(inputs)).digest('hex').slice(0, 8);
}

/** JSON with sorted keys and without absent fields, so that equal specs have equal text. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const fields = Object.entries(value)
      .filter(([, field]) => field !== undefined)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, field]) => `${JSON.stringify(key)}:${canonical(field)}`);
    return `{${fields.join(',')}}`;
  }
  return JSON.stringify(value);
}
