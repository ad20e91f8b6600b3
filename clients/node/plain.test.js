// node-redis's plain client, in both versions of the protocol.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createClient } from 'redis';
import { prefix, urls } from './nodes.js';

for (const RESP of [2, 3]) {
  describe(`RESP${RESP}`, () => {
    const keys = prefix();
    let one;
    let other;

    before(async () => {
      const nodes = urls('HENGE_TEST_RESP');
      one = await createClient({ url: nodes[0], RESP, name: 'tester' }).connect();
      other = await createClient({ url: nodes.at(-1), RESP }).connect();
    });

    after(() => {
      one.destroy();
      other.destroy();
    });

    test('a value written through one node is read through another', async () => {
      assert.equal(await one.set(`${keys}k`, 'v'), 'OK');
      assert.equal(await other.get(`${keys}k`), 'v');
      assert.equal(await other.get(`${keys}missing`), null);
    });

    test('commands sent at once keep their order', async () => {
      const sent = [];
      for (let number = 0; number < 200; number += 1) {
        sent.push(one.set(`${keys}order`, String(number)), one.get(`${keys}order`));
      }
      const answers = await Promise.all(sent);
      answers.forEach((answer, at) => assert.equal(answer, at % 2 ? String((at - 1) / 2) : 'OK'));
    });

    test('several keys of any slots, and how long they live', async () => {
      await one.mSet([[`${keys}a`, '1'], [`${keys}b`, '2']]);
      assert.deepEqual(await other.mGet([`${keys}a`, `${keys}b`, `${keys}missing`]), ['1', '2', null]);
      await one.set(`${keys}t`, 'v', { expiration: { type: 'EX', value: 100 } });
      assert.ok((await other.ttl(`${keys}t`)) > 90);
      assert.equal(await other.persist(`${keys}t`), 1);
      assert.equal(await one.del([`${keys}a`, `${keys}b`, `${keys}missing`]), 2);
    });

    test('keys are walked over', async () => {
      const names = Array.from({ length: 30 }, (_, number) => `${keys}walk${number}`);
      await Promise.all(names.map((name) => one.set(name, 'v')));
      const found = [];
      for await (const page of other.scanIterator({ MATCH: `${keys}walk*`, COUNT: 100 })) found.push(...page);
      assert.deepEqual(found.sort(), names.sort());
    });

    test('what needs one step is refused with the reason, and a transaction runs nothing', async () => {
      await assert.rejects(one.incr(`${keys}n`), /one step/);
      await assert.rejects(one.set(`${keys}n`, 'v', { condition: 'NX' }), /one step/);
      await assert.rejects(one.multi().set(`${keys}n`, 'v').exec());
      assert.equal(await one.get(`${keys}n`), null);
    });

    test('siblings are read with KV.GET and replaced with its context', async () => {
      const keyspace = 1;
      const writers = await Promise.all(
        urls('HENGE_TEST_RESP').map((url) => createClient({ url, RESP, database: keyspace }).connect()),
      );
      for (const [number, writer] of writers.entries()) await writer.set(`${keys}s`, `value${number}`);
      const [reader] = writers;
      if (writers.length > 1) await assert.rejects(reader.get(`${keys}s`), /CONFLICT/);
      const found = await reader.sendCommand(['KV.GET', `${keys}s`]);
      const [context, values] = RESP === 3 ? [found.context, found.values] : found;
      assert.equal(values.length, writers.length);
      await reader.sendCommand(['KV.PUT', `${keys}s`, 'all', 'CONTEXT', context]);
      assert.equal(await writers.at(-1).get(`${keys}s`), 'all');
      writers.forEach((writer) => writer.destroy());
    });

    test('the connection is known by its name', async () => {
      assert.equal(await one.clientGetName(), 'tester');
      assert.equal((await one.clientInfo()).libName, 'node-redis');
    });
  });
}
