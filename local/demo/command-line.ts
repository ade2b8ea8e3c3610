import { parseArgs } from 'node:util';

/** A command line that can't be followed; its message is the one line to print before exit 64. */
export class UsageError extends Error {}

export interface CommandLine {
  /** Of traffic; until Ctrl-C without it. */
  readonly seconds?: number;
  /** Plays on an existing cluster. */
  readonly existing?: {
    readonly context: string;
    readonly masterUrl: string;
    readonly relayImage?: string;
  };
}

/** Null when help is wanted. Throws UsageError. */
export function parseCommandLine(args: readonly string[]): CommandLine | null {
  const { help, seconds, context, 'master-url': masterUrl, 'relay-image': relayImage } = parseFlags(args);
  if (help) return null;
  const ends = seconds === undefined ? {} : { seconds: secondsOf(seconds) };
  if (context === undefined) {
    if (masterUrl !== undefined) throw new UsageError('--master-url goes with --context NAME');
    if (relayImage !== undefined) throw new UsageError('--relay-image goes with --context NAME');
    return ends;
  }
  if (masterUrl === undefined) {
    throw new UsageError(
      '--context needs --master-url http://ADDRESS:PORT, an address of this machine that the pods reach: a development Master is started there',
    );
  }
  if (!/^https?:$/.test(URL.parse(masterUrl)?.protocol ?? '')) {
    throw new UsageError(`--master-url ${masterUrl}: an http:// URL is wanted`);
  }
  return { ...ends, existing: { context, masterUrl, ...(relayImage !== undefined && { relayImage }) } };
}

export const HELP: string = `Usage: npm start -- [options]

Starts a Kubernetes cluster of this machine's own (two nodes), the operator, a development Master, a
WavryRelay with two relays and real peers through them, and shows live what they do. Its kubectl lines
work in another terminal meanwhile. Nothing is left behind when it ends.

The first time the control plane is built with Go (about 10 minutes on two cores, kept in
~/.cache/wavryrelay); until then the relay runs without a cluster, and without Go or Linux it goes on so.

  --seconds N          end after N seconds of traffic (default: at Ctrl-C)
  --context NAME       play on an existing cluster: this context of your kubeconfig
  --master-url URL     with --context: Master's URL, http://ADDRESS:PORT, which pods and this machine must
                       reach. Where ADDRESS is this machine's, a development Master is started there.
  --relay-image IMAGE  with --context: an image of the relay that the cluster can pull
  --help               this text

With --context the CRD is applied unless it is there, the operator runs on this machine, and all is in the
namespace wavry-demo. Peers run on this machine too, so it needs a route to the cluster's pod addresses.
`;

function parseFlags(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        seconds: { type: 'string' },
        context: { type: 'string' },
        'master-url': { type: 'string' },
        'relay-image': { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message.split('\n', 1)[0]);
  }
}

function secondsOf(text: string): number {
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (seconds > 0 && seconds <= 1_000_000) return seconds;
  throw new UsageError(`--seconds ${text}: a number above 0 is wanted`);
}
