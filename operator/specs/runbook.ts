/** Where the runbooks are; each alert has a heading of its own name there. */
export const RUNBOOKS = 'https://github.com/wavry/wavry-relay/blob/main/docs/runbooks.md';

export function runbookUrl(alert: string): string {
  return `${RUNBOOKS}#${alert.toLowerCase()}`;
}
