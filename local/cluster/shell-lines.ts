import { accessSync, constants } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import process from 'node:process';

/**
 * Lines for a person's shell: the cluster's kubeconfig, and the folders of those commands that the PATH lacks.
 *
 * @param binaries paths of kubectl, helm …
 */
export function shellLines(kubeconfig: string, binaries: readonly string[]): string[] {
  const folders = [...new Set(binaries.filter((binary) => !onPath(binary)).map((binary) => dirname(binary)))];
  return [
    `export KUBECONFIG=${kubeconfig}`,
    ...(folders.length > 0 ? [`export PATH="$PATH:${folders.join(':')}"`] : []),
  ];
}

function onPath(binary: string): boolean {
  const name = binary.slice(binary.lastIndexOf('/') + 1);
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .filter(Boolean)
    .some((folder) => {
      try {
        accessSync(join(folder, name), constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
