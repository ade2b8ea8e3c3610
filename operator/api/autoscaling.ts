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
      'Scaling behaviour of the HorizontalPodAutoscaler (autoscaling/v2, spec.behavior): scaleUp, scaleDown or both. One that is left out keeps its default: up at once, to twice as many in three minutes or by four relays in one; down after ten quiet minutes, by a tenth or one relay a minute.',
    ).optional(),
  }),
  {
    rule: 'self.minReplicas <= self.maxReplicas',
    message: 'minReplicas must not be larger than maxReplicas',
  },
).describe('Lets a HorizontalPodAutoscaler that the operator makes set the number of relays.');
