/** Where the runbooks are unless the operator is told otherwise, as in the chart's values. */
export const RUNBOOKS = 'https://github.com/wavry/wavry-relay/blob/main/docs/runbooks.md';

/** Each alert has a heading of its own name there. */
export function runbookUrl(runbooks: string, alert: string): string {
  return `${runbooks}#${alert.toLowerCase()}`;
}
