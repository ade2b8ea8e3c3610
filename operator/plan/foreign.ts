import type { AppliedObject } from '../specs/object.ts';
import type { Trouble } from './relay-status.ts';
import type { World } from './world.ts';

/** Objects that may be applied, and messages about those that somebody else owns: they are left alone. */
export function withoutForeign(
  world: World,
  objects: readonly AppliedObject[],
): { readonly ours: readonly AppliedObject[]; readonly problems: readonly Trouble[] } {
  const problems: Trouble[] = [];
  const ours = objects.filter((object) => {
    const key = `${object.kind}/${object.metadata.name}`;
    const existing = world.owned.get(key);
    if (!existing || existing.ours) return true;
    problems.push(
      existing.earlier
        ? {
            reason: 'EarlierFleetLeaving',
            message: `${object.kind} ${object.metadata.name} belongs to an earlier WavryRelay of this name and goes with it`,
          }
        : {
            reason: 'ForeignObject',
            message: `${object.kind} ${object.metadata.name} belongs to ${existing.ownerText}, so it is left alone; rename or delete it, or this WavryRelay`,
          },
    );
    return false;
  });
  return { ours, problems };
}
