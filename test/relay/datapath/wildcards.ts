import { wildcardWarning } from '../../../relay/datapath/listen-address.ts';

/** To be run in a namespace with addresses of the test's making. */
console.log(
  JSON.stringify({
    v4: wildcardWarning({ host: '0.0.0.0', port: 4000, family: 4 }) ?? null,
    v6: wildcardWarning({ host: '::', port: 4000, family: 6 }) ?? null,
  }),
);
