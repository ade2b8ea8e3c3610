import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';

import { spec as specType } from '../../../operator/api/spec.ts';
import { type References, readReferences } from '../../../operator/controller/references.ts';
import { json, refuse, StandInApiServer } from '../kube/stand-in-api-server.ts';

const KEY = 'ab'.repeat(32);
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const secretRef = (name: string, key: string): object => ({ secretKeyRef: { name, key } });

/** Reads the references of a spec from an API server with these objects; a number is the status of its refusal. */
async function read(
  t: TestContext,
  objects: Readonly<Record<string, Readonly<Record<string, string>> | number>>,
  master: Readonly<Record<string, unknown>>,
): Promise<References> {
  const server = await StandInApiServer.start(({ path }, response) => {
    const data = objects[path.split('/').slice(-2).join('/')] ?? 404;
    if (typeof data === 'number') refuse(response, data, 'Refused');
    else json(response, { data });
  });
  t.after(() => server.stop());
  const spec = specType.parse({ master: { url: 'https://master.example.com', ...master } });
  return readReferences(server.client, 'games', spec);
}

test('what is there and right is no problem, and only the admin token is kept', async (t) => {
  const found = await read(
    t,
    {
      'secrets/s': { admin: base64(' token\n'), token: base64('t') },
      'configmaps/keys': { keys: `# now\n${KEY}\nkid=${KEY}\n` },
    },
    {
      adminTokenFrom: secretRef('s', 'admin'),
      tokenFrom: secretRef('s', 'token'),
      publicKeysFrom: { configMapKeyRef: { name: 'keys', key: 'keys' } },
    },
  );
  assert.deepEqual(found, { adminToken: 'token', problems: [], unread: undefined });
});

for (const [name, objects, master, problem] of [
  [
    'a Secret that isn’t there',
    {},
    { tokenFrom: secretRef('s', 'token') },
    /^spec\.master\.tokenFrom: Secret s does not exist; create it$/,
  ],
  [
    'a Secret that may not be read',
    { 'secrets/s': 403 },
    { adminTokenFrom: secretRef('s', 'admin') },
    /^spec\.master\.adminTokenFrom: Secret s may not be read by the operator; grant it "get" on it$/,
  ],
  [
    'a key that the Secret has not',
    { 'secrets/s': { other: '' } },
    { tokenFrom: secretRef('s', 'token') },
    /^spec\.master\.tokenFrom: Secret s has no key "token"/,
  ],
  [
    'an empty token',
    { 'secrets/s': { token: base64(' \n') } },
    { tokenFrom: secretRef('s', 'token') },
    /^spec\.master\.tokenFrom: key "token" of Secret s is empty$/,
  ],
  [
    'a broken key among good ones',
    { 'secrets/s': { keys: base64(`${KEY}\n# why\n${KEY.slice(1)}\n`) } },
    { publicKeysFrom: secretRef('s', 'keys') },
    /^spec\.master\.publicKeysFrom: line 3 is no key; write 64 hex digits, or kid=hex$/,
  ],
  [
    'no key at all',
    { 'configmaps/m': { keys: '# none yet\n' } },
    { publicKeysFrom: { configMapKeyRef: { name: 'm', key: 'keys' } } },
    /^spec\.master\.publicKeysFrom: there is no key in it/,
  ],
] as const) {
  test(`${name} is said with what to do, and what is in it is not`, async (t) => {
    const { adminToken, problems } = await read(t, objects, master);
    assert.equal(adminToken, undefined);
    assert.equal(problems.length, 1, problems.join('; '));
    assert.match(problems[0]!, problem);
    assert.doesNotMatch(problems[0]!, /abab/);
  });
}

test('an API server that is away is nobody’s mistake', async (t) => {
  const found = await read(
    t,
    { 'secrets/s': 500, 'configmaps/m': { keys: 'none' } },
    { tokenFrom: secretRef('s', 'token'), publicKeysFrom: { configMapKeyRef: { name: 'm', key: 'keys' } } },
  );
  assert.match(found.unread!.message, /^spec\.master\.tokenFrom: Secret s could not be read: Refused$/);
  assert.deepEqual(found.problems, [
    'spec.master.publicKeysFrom: line 1 is no key; write 64 hex digits, or kid=hex',
  ]);
});
