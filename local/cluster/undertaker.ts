import { spawn, type ChildProcess } from 'node:child_process';

/**
 * A small shell process that outlives its owner: when the owner goes without a word (SIGKILL), it sees to it that the
 * supervisor is gone and removes the cluster's folder. In the normal case the owner dismisses it.
 */
export class Undertaker {
  readonly #child: ChildProcess;

  constructor(sh: string, directory: string) {
    this.#child = spawn(sh, ['-c', SCRIPT, 'undertaker', directory], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
      cwd: '/',
    });
    // It may have been killed by hand: then there is nobody to tell.
    this.#child.stdin!.on('error', () => undefined);
    this.#child.unref();
  }

  watch(pid: number): void {
    this.#child.stdin!.write(`${pid}\n`);
  }

  async dismiss(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.ref();
    this.#child.stdin!.end('dismissed\n');
    await exited;
  }
}

/** Reads the supervisor's number and then waits: for `dismissed`, or the end of the owner's pipe. */
const SCRIPT = `
trap '' INT TERM HUP
pid=
while read -r line; do
  [ "$line" = dismissed ] && exit 0
  pid=$line
done
if [ -n "$pid" ]; then
  kill -KILL "$pid"
  while [ -e "/proc/$pid" ]; do sleep 0.1; done
fi
tries=0
until rm -rf -- "$1"; do
  tries=$((tries + 1))
  [ $tries -gt 100 ] && exit 1
  sleep 0.1
done`;
