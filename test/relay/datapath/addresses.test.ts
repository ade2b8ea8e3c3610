import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bindFailure } from '../../../relay/datapath/bind-failure.ts';
import { DatapathError } from '../../../relay/datapath/datapath-error.ts';
import { InterfaceScopes } from '../../../relay/datapath/interface-scopes.ts';
import {
  formatListen,
  listenWords,
  ownAddresses,
  wildcardWarning,
} from '../../../relay/datapath/listen-address.ts';
import { smallBufferWarning } from '../../../relay/datapath/small-buffer.ts';
import { formatAddress, parseAddress } from '../../../relay/protocol/address.ts';
import { runInNamespace } from './network-namespace.ts';

test('a listen address is words and text', () => {
  assert.deepEqual(listenWords({ host: '192.0.2.1', port: 4000, family: 4 }), parseAddress('192.0.2.1:4000'));
  assert.deepEqual(listenWords({ host: '::', port: 1, family: 6 }), parseAddress('[::]:1'));
  assert.equal(formatListen({ host: '::', port: 1, family: 6 }), '[::]:1');
  assert.throws(() => listenWords({ host: 'localhost', port: 1, family: 4 }), DatapathError);
});

test('a specific address is the relay’s own; a wildcard’s are all of the host’s', () => {
  const texts = (host: string, family: 4 | 6): string[] =>
    ownAddresses({ host, port: 4000, family }).map((words) => formatAddress(words, 0));
  assert.deepEqual(texts('192.0.2.1', 4), ['192.0.2.1:4000']);
  assert.ok(texts('0.0.0.0', 4).includes('127.0.0.1:4000'));
});

test('an interface’s name and number are exchanged in link-local addresses only', () => {
  const scopes = new InterfaceScopes();
  assert.equal(scopes.numbered('192.0.2.1'), '192.0.2.1');
  assert.equal(scopes.numbered('fe80::1%nosuch'), 'fe80::1%nosuch');
  assert.equal(scopes.named('fe80::1%4095'), 'fe80::1%4095');
});

test('a specific address never warns, nor does a wildcard on a host with one address', () => {
  assert.equal(wildcardWarning({ host: '127.0.0.1', port: 1, family: 4 }), undefined);
  assert.deepEqual(
    runInNamespace('wildcards.ts', [
      'ip link set lo up',
      'ip link add name wan0 type veth peer name wan1',
      'ip addr add 192.0.2.1/24 dev wan0',
      'ip link set wan1 up',
      'ip link set wan0 up',
    ]),
    { v4: null, v6: null },
  );
});

test('a wildcard on a host with several addresses warns and names them', () => {
  const report = runInNamespace('wildcards.ts', [
    'ip link add name wan0 type veth peer name wan1',
    'ip addr add 192.0.2.1/24 dev wan0',
    'ip addr add 192.0.2.2/24 dev wan0',
    'ip addr add 2001:db8::1/64 dev wan0 nodad',
    'ip link set wan1 up',
    'ip link set wan0 up',
  ]) as { v4: string; v6: string };
  assert.match(
    report.v4,
    /^listening on 0\.0\.0\.0:4000, and this host has several addresses \(192\.0\.2\.1, 192\.0\.2\.2\)/,
  );
  assert.match(
    report.v6,
    /^listening on \[::\]:4000, .*\(192\.0\.2\.1, 192\.0\.2\.2, 2001:db8::1\): answers leave from/,
  );
});

test('link-local peers keep their scope, on both kinds of sockets', () => {
  const report = runInNamespace('link-local.ts', [
    'ip link set lo up',
    ...[1, 2, 3].map((n) => `ip addr add fe80::${n}/64 dev lo nodad`),
  ]);
  const places = ['mmsg', 'dgram'].flatMap((kind) =>
    ['fe80::1%lo', 'fe80::1%1', '::'].map((host) => [`${kind} on ${host}`, true] as const),
  );
  assert.deepEqual(report, Object.fromEntries(places));
});

test('what a socket can’t be had for is said with its cure', () => {
  const listen = { host: '::1', port: 53, family: 6 } as const;
  for (const [code, words] of [
    ['EADDRINUSE', /^can't listen on \[::1\]:53: another process holds .*--listen$/],
    ['EADDRNOTAVAIL', /no interface of this host has that address/],
    ['EACCES', /CAP_NET_BIND_SERVICE/],
    ['EAFNOSUPPORT', /no IPv6/],
    ['EOTHER', /^can't listen on \[::1\]:53: EOTHER$/],
  ] as const) {
    const error = bindFailure(listen, code);
    assert.match(error.message, words);
    assert.equal(error.exitCode, 1);
  }
});

test('a small receive buffer is a warning that names the setting', () => {
  assert.equal(smallBufferWarning(1024 * 1024), undefined);
  assert.match(smallBufferWarning(212_992)!, /only 208 KiB.*net\.core\.rmem_max/);
});
