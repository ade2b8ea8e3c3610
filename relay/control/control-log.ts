/** How the control plane and the datapath write log lines. Fields never hold tokens or keys. */
export type ControlLog = (
  level: 'error' | 'warn' | 'info' | 'debug',
  message: string,
  fields?: Readonly<Record<string, string | number | boolean>>,
) => void;
