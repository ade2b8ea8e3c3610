import { registerHooks } from 'node:module';

/** Preloaded into a relay: a machine for which koffi has no binary. */
registerHooks({
  resolve: (specifier, context, next) => {
    if (specifier === 'koffi') throw new Error('no koffi for this machine');
    return next(specifier, context);
  },
});
