import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { type CommandLine, readArguments } from '../../../operator/kubectl/arguments.ts';
import { UsageError } from '../../../operator/kubectl/cli-error.ts';
import { helpText } from '../../../operator/kubectl/help.ts';

test('flags are read in every form that kubectl takes', () => {
  for (const args of [
    ['status', 'eu', '-n', 'games', '-o', 'json', '--context', 'prod'],
    ['status', '-ngames', 'eu', '-ojson', '--context=prod'],
    ['-n=games', 'status', '-o=json', 'eu', '--context=prod'],
    ['--namespace=games', '--output', 'json', '--context=prod', 'status', 'eu'],
  ]) {
    const line = readArguments(args);
    assert.ok(typeof line === 'object' && 'verb' in line);
    assert.deepEqual(
      [line.verb, line.names, line.namespace, line.output, line.access.context],
      ['status', ['eu'], 'games', 'json', 'prod'],
      args.join(' '),
    );
  }
  const drain = readArguments([
    'drain',
    'a',
    'b',
    '--wait=true',
    '--timeout=1h30m',
    '--as=x',
    '--as-group=g',
    '--as-group=h',
  ]);
  assert.ok(typeof drain === 'object' && 'verb' in drain);
  assert.deepEqual(
    [drain.names, drain.wait, drain.timeoutSeconds, drain.access.as, drain.access.asGroups],
    [['a', 'b'], true, 5400, 'x', ['g', 'h']],
  );
});

test('switches are set and unset as kubectl does, and what is empty is unset', () => {
  const read = (...args: string[]): CommandLine => {
    const line = readArguments(args);
    assert.ok(typeof line === 'object' && 'verb' in line);
    return line;
  };
  for (const yes of ['-A', '-A=true', '-A=1', '--all-namespaces', '--all-namespaces=true'])
    assert.equal(read('status', yes).allNamespaces, true, yes);
  for (const no of ['-A=false', '--all-namespaces=false', '--all-namespaces=0'])
    assert.equal(read('status', no).allNamespaces, false, no);
  assert.equal(read('status', '-n', '').namespace, undefined);
  assert.equal(read('status', '--namespace=', '--context=', '-o=').access.context, undefined);
  assert.equal(read('status', '--request-timeout=5').access.requestTimeoutSeconds, 5);
  assert.equal(read('status', '--request-timeout=0').access.requestTimeoutSeconds, undefined);
  assert.equal(read('status', '-s', 'https://x').access.server, 'https://x');
  assert.throws(() => read('drain', 'x', '--dry-run='), UsageError);
});

test('what it can’t read is told with what it could', () => {
  const cases: [args: string[], message: RegExp][] = [
    [['frob'], /^unknown command "frob" for "kubectl wavry"; it has status, /],
    [['status', '--frob'], /^unknown flag: --frob$/],
    [['status', '--frob=1'], /^unknown flag: --frob$/],
    [['status', '-x'], /^unknown flag: -x$/],
    [['status', '-n'], /^flag needs an argument: --namespace$/],
    [['status', '--wait'], /^unknown flag for status: --wait$/],
    [['drain', 'x', '-A'], /^unknown flag for drain: --all-namespaces$/],
    [['status', '-o', 'xml'], /^--output: "xml" is none of json, yaml, wide, name$/],
    [['why'], /^why takes one name/],
    [['why', 'a', 'b'], /^why takes one name/],
    [['why', 'a', '-o', 'wide'], /^--output: why has json and yaml, not wide$/],
    [['drain'], /^drain takes the names of relays/],
    [['drain', 'x', '--timeout=soon'], /^--timeout: "soon" is not a duration/],
    [['status', '--request-timeout=soon'], /^--request-timeout: "soon" is not a duration/],
    [['drain', 'x', '--dry-run=yes'], /^--dry-run: "yes" is none of none, client, server$/],
    [['status', 'eu', '-A'], /^a resource cannot be retrieved by name across all namespaces$/],
    [['status', 'eu', '-l', 'a=b'], /^selectors and names do not go together$/],
    [['-A'], /^say what to do: status/],
  ];
  for (const [args, message] of cases) {
    assert.throws(
      () => readArguments(args),
      (error: Error) => error instanceof UsageError && message.test(error.message),
      args.join(' '),
    );
  }
});

test('help and version are there where people look', () => {
  for (const args of [[], ['help'], ['--help'], ['-h']])
    assert.deepEqual(readArguments(args), { help: undefined });
  for (const args of [
    ['help', 'why'],
    ['why', '--help'],
    ['why', '-h', 'x'],
  ]) {
    assert.deepEqual(readArguments(args), { help: 'why' });
  }
  assert.equal(readArguments(['version']), 'version');
  assert.match(helpText('drain'), /--dry-run=/);
  assert.doesNotMatch(helpText('drain'), /--all-namespaces/);
  assert.doesNotMatch(helpText('status'), /--dry-run/);
});

test('no command line does anything but parse, or end in a usage error', () => {
  const word = fc.oneof(
    fc.constantFrom(
      'status',
      'why',
      'drain',
      '-n',
      '-o',
      '--',
      '-',
      '--output=',
      '-A',
      '--wait=false',
      '-o=',
      '--no-wait',
    ),
    fc.string({ maxLength: 8 }),
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 6 }), (args) => {
      try {
        readArguments(args);
      } catch (error) {
        assert.ok(error instanceof UsageError, String(error));
      }
    }),
    { numRuns: 2000 },
  );
});
