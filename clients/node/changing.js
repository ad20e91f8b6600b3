// Programs of node-redis that write keys of their own and read what they have written, until standard input ends. Each line that
// comes in names what happens to the cluster from then on. What came of it is printed as JSON.

import { createInterface } from 'node:readline';
import { createCluster, DisconnectsClientError, SocketClosedUnexpectedlyError } from 'redis';
import { prefix, urls } from './nodes.js';

const PROGRAMS = 4;
const KEYS_EACH = 200;

const rootNodes = urls('HENGE_TEST_CLUSTER').map((url) => ({ url }));
// How long it tries to get back to a node that it has lost before it asks the others who has the slots now: 5 s if nothing is said.
const cluster = createCluster({ rootNodes, topologyRefreshOnReconnectionAttemptStrategy: 100 });
// A connection that ends is the client's to mend; what it cannot mend reaches the program as an error of its command.
cluster.on('error', () => {});
await cluster.connect();

const done = {};
const failed = [];
let lost = 0;
let phase = 'at rest';
let isOver = false;

// It sends no command again that was under way, or waited, when it gave a connection up: a program gets that as an error.
const isLost = (error) =>
  error instanceof SocketClosedUnexpectedlyError || error instanceof DisconnectsClientError || error.code === 'ECONNRESET';

// What a key is after a write of which that is not known.
const find = async (key) => {
  for (let attempt = 0; attempt < 5; attempt++) {
    try {
      return await cluster.get(key);
    } catch (error) {
      if (!isLost(error)) throw error;
      lost++;
    }
  }
  throw new Error(`${key} could not be read`);
};

const run = async () => {
  const keys = prefix();
  const values = new Map();
  for (let turn = 1; !isOver; turn++) {
    const key = keys + ((turn * 7919) % KEYS_EACH);
    try {
      const found = await cluster.get(key);
      const expected = values.get(key) ?? null;
      if (found !== expected) throw new Error(`${key} is ${found}, and was written as ${expected}`);
      await cluster.set(key, String(turn));
      values.set(key, String(turn));
      done[phase] = (done[phase] ?? 0) + 2;
    } catch (error) {
      if (phase === 'kill' && isLost(error)) lost++;
      else failed.push(`${phase}: ${error}`);
      values.set(key, await find(key));
    }
  }
};

const programs = Array.from({ length: PROGRAMS }, run);
for await (const line of createInterface({ input: process.stdin })) phase = line;
isOver = true;
await Promise.all(programs);
cluster.destroy();
console.log(JSON.stringify({ done, failed, lost }));
