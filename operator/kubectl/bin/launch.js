// Plain JavaScript in the syntax of old Node versions, so that those can say that they are too old.
import process from 'node:process';

const OLDEST = 26;

/**
 * Runs one of the plugin's programs, a TypeScript file beside this folder.
 *
 * @param {string} program its path, relative to this file
 * @returns {Promise<void>}
 */
export async function launch(program) {
  if (Number(process.versions.node.split('.')[0]) < OLDEST) {
    process.stderr.write(
      `error: kubectl wavry needs Node.js ${OLDEST} or newer, and "node" is ${process.version} (${process.execPath}): install a newer one, or put it first on PATH\n`,
    );
    process.exitCode = 1;
    return;
  }
  const { registerHooks, stripTypeScriptTypes } = await import('node:module');
  const { readFileSync } = await import('node:fs');
  // Its warning that stripping is experimental is not for those who only use the plugin.
  const emitWarning = process.emitWarning.bind(process);
  process.emitWarning = () => {};
  stripTypeScriptTypes('');
  process.emitWarning = emitWarning;
  // Node strips the types of every file but those below node_modules, which is where npm puts an installed plugin
  // (https://nodejs.org/api/typescript.html#type-stripping-in-dependencies).
  registerHooks({
    load(url, context, nextLoad) {
      if (!url.endsWith('.ts') || !url.includes('/node_modules/')) return nextLoad(url, context);
      return {
        format: 'module',
        source: stripTypeScriptTypes(readFileSync(new URL(url), 'utf8')),
        shortCircuit: true,
      };
    },
  });
  await import(new URL(program, import.meta.url).href);
}
