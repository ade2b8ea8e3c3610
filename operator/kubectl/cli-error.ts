import { KubeError } from '../kube/kube-error.ts';

/** What was asked for can't be done: one line that says why and what to do. */
export class CliError extends Error {
  override readonly name = 'CliError';
}

/** The command line itself is wrong: answered with a pointer to the help. */
export class UsageError extends CliError {}

/** The line for standard error, in the words kubectl has for it. */
export function errorLine(error: unknown): string {
  if (error instanceof UsageError) return `error: ${error.message}\nSee 'kubectl wavry --help' for usage.`;
  if (!(error instanceof KubeError))
    return `error: ${error instanceof Error ? error.message : String(error)}`;
  if (error.status === 0) return `Unable to connect to the server: ${error.message}`;
  if (error.status === 401) return 'error: You must be logged in to the server (Unauthorized)';
  return `Error from server (${error.reason}): ${error.message}`;
}
