import process from 'node:process';

import { run } from './run.ts';

// A pipe that closes early ("| head") is no error of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

process.exitCode = await run(process.argv.slice(2), process.env, process.stdout, process.stderr);
