#!/usr/bin/env node
'use strict';
// CommonJS, because libuv sizes its one thread pool at first use and the ES module loader may use it: the variable must be set before.
// sharp decodes in that pool; its default of 4 threads starves machines with more cores.
const { existsSync } = require('node:fs');
const { availableParallelism } = require('node:os');
const { join } = require('node:path');
const { pathToFileURL } = require('node:url');

// Node opens its inspector on SIGUSR1 unless somebody listens; Slurm and others send it as a warning. Commands that can save listen themselves.
process.on('SIGUSR1', () => {});

process.env.UV_THREADPOOL_SIZE ??= String(Math.max(4, availableParallelism()));

const [surroundings, main] = ['surroundings.js', 'main.js'].map((name) => join(__dirname, '..', 'dist', 'cli', name));
if (existsSync(main)) {
  void import(pathToFileURL(surroundings).href).then(({ settle }) => {
    settle();
    return import(pathToFileURL(main).href);
  });
} else {
  process.stderr.write(`detco: ${main} is missing: run npm run build\n`);
  process.exitCode = 1;
}
