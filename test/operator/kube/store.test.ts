import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import type { KubeObject } from '../../../operator/kube/object.ts';
import { Store } from '../../../operator/kube/store.ts';

function objectOf(name: string, version: number | string, uid = name, namespace = 'n'): KubeObject {
  return { metadata: { name, namespace, uid, resourceVersion: String(version), creationTimestamp: '' } };
}

const versionOf = (store: Store<KubeObject>, name: string): string | undefined =>
  store.get('n', name)?.metadata.resourceVersion;

test('older news of an object is none; the same name with another UID is another object', () => {
  const store = new Store();
  store.put(objectOf('a', 10));
  store.put(objectOf('a', 9));
  assert.equal(versionOf(store, 'a'), '10');
  store.put(objectOf('a', 3, 'another'));
  assert.equal(versionOf(store, 'a'), '3');
});

test('versions are compared as numbers of any length, and are taken as they come where they are none', () => {
  const store = new Store();
  store.put(objectOf('a', '9007199254740993'));
  store.put(objectOf('a', '9007199254740992'));
  assert.equal(versionOf(store, 'a'), '9007199254740993');
  store.put(objectOf('a', 'opaque-2'));
  store.put(objectOf('a', 'opaque-1'));
  assert.equal(versionOf(store, 'a'), 'opaque-1');
});

test('a late answer to a write doesn’t bring a deleted object back, and a late deletion spares the namesake', () => {
  const store = new Store();
  store.put(objectOf('a', 10, 'first'));
  store.remove(objectOf('a', 11, 'first'));
  store.written(objectOf('a', 10, 'first'));
  assert.equal(store.get('n', 'a'), undefined);
  store.put(objectOf('a', 12, 'second'));
  store.remove(objectOf('a', 11, 'first'));
  assert.equal(versionOf(store, 'a'), '12');
});

test('own writes to an object that a list just missed count again once the watch brings it, until it is deleted', () => {
  const store = new Store();
  store.written(objectOf('a', 10));
  // A list under way since before that; the watch goes on from where the list stood.
  store.replace([]);
  store.written(objectOf('a', 10));
  assert.equal(store.get('n', 'a'), undefined);
  store.put(objectOf('a', 10));
  store.written(objectOf('a', 11));
  assert.equal(versionOf(store, 'a'), '11');
  store.remove(objectOf('a', 13));
  store.written(objectOf('a', 12));
  assert.equal(store.get('n', 'a'), undefined);
});

test('listeners hear each change once, with what was before, and nothing of what stays', () => {
  const store = new Store();
  const heard: string[] = [];
  store.onChange((key, now, before) =>
    heard.push(`${key} ${before?.metadata.resourceVersion ?? '-'} ${now?.metadata.resourceVersion ?? '-'}`),
  );
  store.put(objectOf('a', 1));
  store.put(objectOf('a', 1));
  store.replace([objectOf('a', 1), objectOf('b', 2)]);
  store.replace([objectOf('b', 3)]);
  store.remove(objectOf('b', 3));
  store.remove(objectOf('b', 3));
  assert.deepEqual(heard, ['n/a - 1', 'n/b - 2', 'n/a 1 -', 'n/b 2 3', 'n/b 3 -']);
});

test('a list counts even where its versions are older, as after a restored backup', () => {
  const store = new Store();
  store.put(objectOf('a', 100));
  store.replace([objectOf('a', 7)]);
  assert.equal(versionOf(store, 'a'), '7');
  assert.ok(store.synced);
});

test('what is kept is what the transformation leaves', () => {
  const store = new Store<KubeObject>(({ metadata }) => ({ metadata }));
  store.put({ ...objectOf('a', 1), data: { big: 'x' } });
  store.written({ ...objectOf('b', 1), data: { big: 'x' } });
  store.replace([{ ...objectOf('c', 1), data: { big: 'x' } }]);
  for (const object of store.list()) assert.deepEqual(Object.keys(object), ['metadata']);
});

test('whatever order events and own writes come in, the store ends at the newest of each object', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          name: fc.constantFrom('a', 'b', 'c'),
          version: fc.integer({ min: 1, max: 50 }),
          own: fc.boolean(),
        }),
      ),
      (events) => {
        const store = new Store();
        for (const { name, version, own } of events) {
          if (own) store.written(objectOf(name, version));
          else store.put(objectOf(name, version));
        }
        for (const name of ['a', 'b', 'c']) {
          const versions = events.filter((event) => event.name === name).map(({ version }) => version);
          const newest = versions.length === 0 ? undefined : String(Math.max(...versions));
          assert.equal(versionOf(store, name), newest);
        }
      },
    ),
  );
});
