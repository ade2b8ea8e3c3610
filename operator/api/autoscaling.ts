import { z } from 'zod';

import { cel, int32, podFragment } from './fields.ts';

export const autoscaling = cel(
  z.object({
    minReplicas: int32('Fewest relays, at least 1.', 1, 1000).default(1),
    maxReplicas: int32('Most relays.', 1, 1000),
    targetSessionUtilization: int32(
      'Sessions per relay that the fleet is held at, in percent of a relay’s maximum.',
      10,
      95,
    ).default(70),
    behavior: podFragment(
      'Replaces the scaling behaviour of the HorizontalPodAutoscaler (autoscaling/v2, spec.behavior). The default scales up at once and down after ten quiet minutes.',
    ).optional(),
  }),
  {
    rule: 'self.minReplicas <= self.maxReplicas',
    message: 'minReplicas must not be larger than maxReplicas',
  },
).describe('Lets a HorizontalPodAutoscaler that the operator makes set the number of relays.');
