import { FLAGS, takesFlag, type Verb, VERBS } from './arguments.ts';

const WHAT: Readonly<
  Record<Verb, { readonly usage: string; readonly short: string; readonly long: string }>
> = {
  status: {
    usage: 'status [NAME...]',
    short: 'Fleets at a glance',
    long: 'Lists WavryRelays; with names, each with its relays.\n\nRights: get and list of wavryrelays.wavry.dev.',
  },
  sessions: {
    usage: 'sessions [NAME...]',
    short: 'How many sessions each relay holds, and how long draining ones may',
    long: 'Lists relays, fullest first. Sessions are those the operator saw last, waiting ones included.\n\nRights: get and list of wavryrelays.wavry.dev.',
  },
  why: {
    usage: 'why NAME',
    short: 'What stands in the way, in plain words',
    long: 'Tells of a WavryRelay, or of one of its relays: what is wrong and what to do, what is going on, conditions and events.\n\nRights: get of wavryrelays.wavry.dev, list of events.',
  },
  drain: {
    usage: 'drain RELAY...',
    short: 'Replace relays, drain them, and let them go once empty',
    long: 'Asks for it by an annotation and returns; the operator does it. A further relay is made first; when that serves,\nthe relay gets no new sessions, and goes when its last one ends or spec.drain.timeout has passed. No session is cut\nbefore. To have fewer relays instead, lower spec.replicas as well: those asked to drain go first.\n\nRights: get and patch of deployments.apps.',
  },
  undrain: {
    usage: 'undrain RELAY...',
    short: 'Take relays back that were asked to drain',
    long: 'The relay serves again with the sessions it still holds; the one that took its place goes.\n\nRights: get and patch of deployments.apps.',
  },
};

export function summaryOf(verb: Verb): string {
  return WHAT[verb].short;
}

export function helpText(verb: Verb | undefined): string {
  if (verb) {
    return `${WHAT[verb].short}.\n\n${WHAT[verb].long}\n\nUsage:\n  kubectl wavry ${WHAT[verb].usage} [flags]\n\nFlags:\n${flags(verb)}`;
  }
  const width = Math.max(...VERBS.map((verb) => WHAT[verb].usage.length));
  const commands = VERBS.map((verb) => `  ${WHAT[verb].usage.padEnd(width)}  ${WHAT[verb].short}`);
  return `Fleets of Wavry relays, seen and handled.\n\nUsage:\n  kubectl wavry COMMAND [flags]\n\nCommands:\n${commands.join('\n')}\n\nUse "kubectl wavry COMMAND --help" for what a command takes, and "kubectl wavry version" for the version.\n`;
}

function flags(verb: Verb): string {
  const taken = Object.entries(FLAGS).filter(([name]) => takesFlag(verb, name));
  const lines = taken.map(([name, { short, type, text }]): [string, string] => [
    `${short === undefined ? '    ' : `-${short}, `}--${name}${type === 'string' ? '=' : ''}`,
    text,
  ]);
  const width = Math.max(...lines.map(([left]) => left.length)) + 2;
  return lines.map(([left, text]) => `  ${left.padEnd(width)}${text}\n`).join('');
}
