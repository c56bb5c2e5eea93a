import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

// As the engine torch does, which cannot do it here: `process.env` of a test is a copy that the C library does not see.
const record = new URL('native/torch/build/build.json', import.meta.url);
const { openblasCore } = existsSync(record) ? JSON.parse(readFileSync(record, 'utf8')) : {};
if (openblasCore !== undefined) process.env.OPENBLAS_CORETYPE ??= openblasCore;

// Two suites and what they start have a thread for each core, all at once: threads of LibTorch that spin while they wait for their like take
// the cores from those that compute, half of all time in a test of the golden numbers.
process.env.OMP_WAIT_POLICY ??= 'passive';

/** Tests run against `dist`, the files that are shipped: `npm test` builds them first. */
export default {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }, module: { type: 'es6' }, sourceMaps: 'inline' },
    ],
  },
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  testTimeout: 60_000,
  // Tests wait for processes and sockets for almost half of their time: Jest's one worker on two cores leaves as much of them idle.
  maxWorkers: Math.max(2, availableParallelism() - 1),
};
