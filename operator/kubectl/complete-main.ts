import process from 'node:process';

import { complete } from './complete.ts';

process.stdout.write(await complete(process.argv.slice(2), process.env));
process.exitCode = 0;
