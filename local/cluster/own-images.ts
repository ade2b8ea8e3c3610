import { join } from 'node:path';
import process from 'node:process';

import type { ImageMap } from './node-agent/images.ts';

const ROOT = join(import.meta.dirname, '../..');

/** The programs of this checkout stand in for the project's images, whatever their tag. */
export const OWN_IMAGES: ImageMap = {
  'ghcr.io/wavry/wavry-relay': { command: [process.execPath, join(ROOT, 'relay/main.ts')] },
  'ghcr.io/wavry/wavry-relay-operator': { command: [process.execPath, join(ROOT, 'operator/main.ts')] },
};
