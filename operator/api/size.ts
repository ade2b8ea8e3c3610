/** What one relay of a size gets: the operations guide's sizing table. */
export interface SizeProfile {
  readonly cpu: string;
  readonly memory: string;
  readonly maxSessions: number;
  readonly maxThroughputMbps: number;
  /** Data-plane threads; the relay takes at most four (design-relay 1). */
  readonly workers: number;
}

export const SIZES = ['Small', 'Medium', 'Large', 'XLarge'] as const;
export type Size = (typeof SIZES)[number];

/** Operations guide, "Sizing Guidelines". */
export const SIZE_PROFILES: Readonly<Record<Size, SizeProfile>> = {
  Small: { cpu: '1', memory: '512Mi', maxSessions: 50, maxThroughputMbps: 500, workers: 1 },
  Medium: { cpu: '2', memory: '1Gi', maxSessions: 100, maxThroughputMbps: 2000, workers: 2 },
  Large: { cpu: '4', memory: '2Gi', maxSessions: 250, maxThroughputMbps: 5000, workers: 4 },
  XLarge: { cpu: '8', memory: '4Gi', maxSessions: 500, maxThroughputMbps: 10_000, workers: 4 },
};
