import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

/**
 * What the relay that this one replaces gets wrong (wire reference 5), and what this one does instead. Each has tests whose
 * names begin with `fault N:`.
 */
const FAULTS: readonly string[] = [
  'announces its bind address: here --advertise, the control directory, STUN or a specific listen address, never 0.0.0.0',
  'takes a new id at every start: here the id is configured or kept in the state directory, and sessions come back',
  'ends sessions a lease duration after the present: here a token’s whole life counts, and traffic renews',
  'counts forwarded traffic in the source limit: here it is for packets of no active session’s peer only',
  'averages the hard limit over a second and ignores the soft one: here a token bucket, and a counter for the soft limit',
  'never notices a rebind on FORWARD: here a changed port is followed, under conditions, and counted',
  'ends at once on SIGTERM and never on SIGINT: here both drain, and a second one ends',
  'serves no health endpoint until Master answers: here health is up first, and Master is asked for ever',
  'handles one packet a system call, on one core: here batches, trains and workers',
  'binds another port when its own is busy: here an error that names it, and exit code 1',
  'gives the registered times no tolerance: here 30 s for all of them',
  'drops handshake repetitions as replays: here packet id 0 passes, 20 a second',
  'ignores the key of a re-registration: here keys are learned, and the one before stays good for an hour',
  'cuts datagrams over 1500 bytes and takes the last u64 sequences for replays: here invalid, and the full range works',
  'does not understand its guide’s booleans and empty variables: here 1/0, true/false, yes/no, and empty is unset',
  'fails on a trailing slash in the Master URL, and waits for ever: here any URL form, and a timeout for every call',
  'needs a second, undocumented variable for a public bind: here the guide’s one is enough',
  'keeps the default socket buffer: here as much as the kernel gives, and a warning when that is little',
  'never counts session_full_rejects, nor a second identity in auth_reject_packets: here each row of the table counts',
  'lets a copied token take a live peer’s place: here a live peer stays, and a silent address gets little',
];

test('the wire reference lists twenty faults', () => {
  assert.equal(FAULTS.length, 20);
});

const named = faultsNamed();

for (const [index, fault] of FAULTS.entries()) {
  const number = index + 1;
  test(`at least one test names fault ${number}: today’s relay ${fault}`, () => {
    assert.ok(
      named.has(number),
      `no test is named "fault ${number}: …"; there are tests for ${[...named.keys()].toSorted((a, b) => a - b).join(', ')}`,
    );
  });
}

test('no test names a fault that there is not', () => {
  for (const [number, file] of named)
    assert.ok(number >= 1 && number <= FAULTS.length, `${number} in ${file}`);
});

/** Faults that names of tests begin with, each with a file. */
function faultsNamed(): Map<number, string> {
  const found = new Map<number, string>();
  for (const file of globSync('test/**/*.test.ts').filter((path) => path !== 'test/faults.test.ts')) {
    for (const [, number] of readFileSync(file, 'utf8').matchAll(/\btest\(\s*(?:'|"|`)fault (\d+): /g)) {
      found.set(Number(number), file);
    }
  }
  return found;
}
