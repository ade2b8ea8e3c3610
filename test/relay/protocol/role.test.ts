import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Role, otherRole, roleClaim } from '../../../relay/protocol/role.ts';

test('a role byte and its claim', () => {
  assert.deepEqual([Role.Client, Role.Server].map(roleClaim), ['client', 'server']);
  assert.deepEqual({ ...Role }, { Client: 0, Server: 1 });
});

test('the other role of the other role is the role', () => {
  assert.equal(otherRole(Role.Client), Role.Server);
  assert.equal(otherRole(Role.Server), Role.Client);
});
