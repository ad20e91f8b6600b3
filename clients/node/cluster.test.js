// node-redis's cluster client.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createCluster } from 'redis';
import { prefix, urls } from './nodes.js';

const keys = prefix();
let cluster;

before(async () => {
  cluster = await createCluster({ rootNodes: urls('HENGE_TEST_CLUSTER').map((url) => ({ url })) }).connect();
});

after(() => cluster.destroy());

test('every node is a master and none a replica', () => {
  assert.equal(cluster.masters.length, urls('HENGE_TEST_CLUSTER').length);
  assert.equal(cluster.replicas.length, 0);
});

test('keys of all slots are written and read', async () => {
  const numbers = Array.from({ length: 300 }, (_, number) => String(number));
  await Promise.all(numbers.map((number) => cluster.set(keys + number, number)));
  const values = await Promise.all(numbers.map((number) => cluster.get(keys + number)));
  assert.deepEqual(values, numbers);
});

test('keys of one tag go into one command', async () => {
  await cluster.mSet([[`{${keys}}a`, '1'], [`{${keys}}b`, '2']]);
  assert.deepEqual(await cluster.mGet([`{${keys}}a`, `{${keys}}b`]), ['1', '2']);
});
