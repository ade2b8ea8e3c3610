#!/usr/bin/env node
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';
import process from 'node:process';

/**
 * What Node makes of the sources is kept beside the packages, where only who installed the relay can write (Node's own
 * choice, a fixed name in the temporary directory, is anybody's). Measured: 117 instead of 156 MB of RSS with one worker,
 * because the type stripper is not loaded, and a start in half the time. A directory that can't be written to does no harm.
 */
const CACHE = join(import.meta.dirname, '..', 'node_modules', '.cache', 'wavry-relay');

// Cached code blurs coverage.
if (process.env['NODE_V8_COVERAGE'] === undefined) {
  // Workers go by the variable.
  process.env['NODE_COMPILE_CACHE'] ??= CACHE;
  enableCompileCache(process.env['NODE_COMPILE_CACHE']);
}

const { main } = await import('./run.ts');
process.exit(await main());
