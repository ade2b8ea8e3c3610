import { join } from 'node:path';
import process from 'node:process';

import { drawDashboard } from './dashboard.ts';

/** `npm run pictures`: draws the pictures of docs/pictures anew, from what really happens. */
try {
  await drawDashboard(join(import.meta.dirname, '../../docs/pictures'), (line) => console.error(line));
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
