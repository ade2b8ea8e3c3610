import assert from 'node:assert/strict';
import { test } from 'node:test';

import { explainFailure } from '../../../operator/controller/failure.ts';
import { KubeError } from '../../../operator/kube/kube-error.ts';

for (const [what, error, reason, message] of [
  [
    'a quota',
    new KubeError(403, 'Forbidden', 'pods "x" is forbidden: exceeded quota: small'),
    'QuotaExceeded',
    /^Deployment x: .*exceeded quota: small; raise the ResourceQuota/,
  ],
  [
    'a right that is missing',
    new KubeError(403, 'Forbidden', 'User "u" cannot patch resource "services" in API group ""'),
    'Forbidden',
    /cannot patch resource "services".*; the roles of the chart wavry-relay-operator grant this/,
  ],
  [
    'somebody else’s admission',
    new KubeError(403, 'Forbidden', 'admission webhook "policy" denied the request'),
    'ApplyFailed',
    /^Deployment x: admission webhook "policy" denied the request$/,
  ],
  [
    'a field that the API server refuses',
    new KubeError(422, 'Invalid', 'spec.template.spec.priorityClassName: Invalid value'),
    'Rejected',
    /priorityClassName: Invalid value; correct the field of the spec that it comes from$/,
  ],
  ['a field that it can’t read', new KubeError(400, 'BadRequest', 'unknown field'), 'Rejected', /refuses it/],
  [
    'a namespace that is going',
    new KubeError(403, 'Forbidden', 'unable to create new content', undefined, ['NamespaceTerminating']),
    'NamespaceTerminating',
    /nothing more is made here/,
  ],
  ['an API server that is away', new KubeError(0, '', 'connect ECONNREFUSED'), 'ApplyFailed', /ECONNREFUSED/],
  [
    'a Master that is away',
    new Error('Master answered 503'),
    'MasterUnreachable',
    /^Master isn't told which relays drain, .*: Master answered 503$/,
  ],
  ['something thrown that is no error', 'odd', 'MasterUnreachable', /: odd$/],
] as const)
  test(`${what} is told with what to do`, () => {
    const said = explainFailure('Deployment x', error);
    assert.equal(said.reason, reason);
    assert.match(said.message, message);
  });

test('what differs at each try is left out: ports of our own, times, ids of requests', () => {
  const at = (port: number, second: number): string =>
    explainFailure(
      'Service x',
      new KubeError(
        500,
        'InternalError',
        `Post "https://w.svc:443/v": read tcp [fd00::1]:${port}->10.0.0.1:443: reset, current time 2026-01-01T00:00:0${second}Z, request 6f9f1c0e-9d6c-4f3e-8d57-3f3a1f0f3b6${second}`,
      ),
    ).message;
  assert.equal(at(40_000, 1), at(40_001, 2));
  assert.match(at(1, 1), /w\.svc:443\/v": read tcp \[fd00::1\]->10\.0\.0\.1:443: reset, current time …/);
});
