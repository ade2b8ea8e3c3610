/** Names that are written on objects. What relay and operator must agree on stands in ARCHITECTURE.md. */
export const GROUP = 'wavry.dev';
export const VERSION = 'v1alpha1';
export const API_VERSION = `${GROUP}/${VERSION}` as const;
export const KIND = 'WavryRelay';
export const PLURAL = 'wavryrelays';

export const Label = {
  fleet: 'wavry.dev/fleet',
  relay: 'wavry.dev/relay',
  revision: 'wavry.dev/revision',
  /** On a relay's pod, patched: its own UID, so that a Service can select just this pod. */
  pod: 'wavry.dev/pod',
} as const;

export const Annotation = {
  /** On a relay's Deployment: when the operator decided that it drains (RFC 3339). */
  drainingSince: 'wavry.dev/draining-since',
  /** On a relay's Deployment, beside the former: why, a `DrainReason`. */
  drainReason: 'wavry.dev/drain-reason',
  /**
   * On a relay's Deployment, written by people (`kubectl wavry drain`): `true` asks that this relay be replaced, then
   * drained. Taking it away again takes the relay back.
   */
  drainRequested: 'wavry.dev/drain-requested',
  /** On a relay's Deployment: its spec as the operator made it, to put back what somebody else changes. */
  appliedSpec: 'wavry.dev/applied-spec',
  /** On a relay's Deployment: the exposure that it was made for, which it keeps whatever the spec asks of later ones. */
  exposure: 'wavry.dev/exposure',
  /** On a relay's pod, a file in its control directory: `true` or `false`. */
  draining: 'wavry.dev/draining',
  /** On a relay's pod, a file in its control directory: one `ip:port` a line. */
  endpoints: 'wavry.dev/endpoints',
} as const;

/** Somebody asked for it; fewer relays are wanted; another revision takes over. */
export type DrainReason = 'Requested' | 'ScaleDown' | 'Rollout';
