// Where the cluster is, and keys that no other test uses.

import { randomUUID } from 'node:crypto';

export const urls = (variable) => process.env[variable].split(',').map((address) => `redis://${address}`);

export const prefix = () => `${randomUUID()}:`;
