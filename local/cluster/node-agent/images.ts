/**
 * What stands in for a container image. There is no registry here, so images are commands of this machine.
 *
 * A `simulated` image runs nothing: its containers are running and ready from the start, which lets one machine carry
 * thousands of them.
 */
export type ImageDefinition =
  | {
      /** Entry point; a container's `command` replaces it, as with a real image. */
      command: readonly string[];
      /** Replaced by a container's `args`, and left out when it has a `command` of its own. */
      args?: readonly string[];
      env?: Readonly<Record<string, string>>;
      workingDir?: string;
      /** Where programs of the image are on this machine, by the path that a container's `command` calls them by. */
      programs?: Readonly<Record<string, string>>;
    }
  | { simulated: true };

/** Keyed by image name with a tag (only that one) or without (every tag but `broken`). */
export type ImageMap = Readonly<Record<string, ImageDefinition>>;

/** The image's definition, or undefined for one that can't be pulled. */
export function findImage(images: ImageMap, reference: string): ImageDefinition | undefined {
  const exact = images[reference];
  if (exact) return exact;
  const { name, tag } = splitReference(reference);
  return tag === 'broken' ? undefined : images[name];
}

function splitReference(reference: string): { name: string; tag: string | undefined } {
  const withoutDigest = reference.split('@')[0]!;
  const colon = withoutDigest.lastIndexOf(':');
  // The colon of a registry's port comes before a slash.
  if (colon < 0 || withoutDigest.includes('/', colon)) return { name: withoutDigest, tag: undefined };
  return { name: withoutDigest.slice(0, colon), tag: withoutDigest.slice(colon + 1) };
}
