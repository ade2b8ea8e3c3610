/**
 * Names of the objects of a fleet. The name of a fleet has at most 40 characters (CRD), so that the longest of
 * these, with what Kubernetes appends to a pod's, stays a DNS label where it has to be one.
 */
export function relayName(fleet: string, revision: string, ordinal: number): string {
  return `${fleet}-${revision}-${ordinal}`;
}

/** The fleet that a relay of this name would belong to; undefined when it is no relay's name. */
export function relayFleet(name: string): string | undefined {
  return /^(.+)-[0-9a-f]{8}-(?:0|[1-9][0-9]{0,3})$/.exec(name)?.[1];
}

/** The ordinal in a relay's name, or undefined when the name isn't one of this fleet's. */
export function relayOrdinal(fleet: string, name: string): number | undefined {
  if (!name.startsWith(`${fleet}-`)) return undefined;
  const match = /^[0-9a-f]{8}-(0|[1-9][0-9]{0,3})$/.exec(name.slice(fleet.length + 1));
  return match ? Number(match[1]) : undefined;
}

export function masterKeysName(fleet: string): string {
  return `${fleet}-master-keys`;
}

export function metricsServiceName(fleet: string): string {
  return `${fleet}-metrics`;
}

export function dashboardName(fleet: string): string {
  return `${fleet}-dashboard`;
}

/** The one name of everything else a fleet has once: ServiceAccount, PodDisruptionBudget, NetworkPolicy, HPA … */
export function fleetObjectName(fleet: string): string {
  return `${fleet}-relay`;
}
