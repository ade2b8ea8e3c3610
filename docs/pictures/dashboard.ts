import process from 'node:process';

import { drawDashboard } from './draw-dashboard.ts';

/** `npm run pictures:dashboard`: draws the dashboard's pictures anew, from what really happens; about nine minutes. */
try {
  await drawDashboard(import.meta.dirname, (line) => console.error(line));
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
