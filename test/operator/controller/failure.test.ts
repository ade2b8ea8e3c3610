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
