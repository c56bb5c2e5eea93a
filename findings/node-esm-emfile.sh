#!/bin/sh
# Subject: Node's loader of ES modules (node 20.20.2 of npm's package `node`), import of a package when no more files may be open.
#
# A package is installed, and its package.json names its module by `main`. A process has as many files open as `ulimit -n` allows,
# as a pipeline with many shards and sockets may. One would guess that import() fails with EMFILE, as fs.readFileSync does.
#
# Seen: it fails with ERR_MODULE_NOT_FOUND, "Cannot find package '.../index.js'", as if the package were not installed: the loader takes
# a package.json that it could not open for one that is not there, and remembers that: the package stays lost for this process when
# files may be opened again. Loading many modules at once is enough to get there, for their files
# are opened side by side: `ulimit -n 100` makes a program with some two hundred modules "lose" a package, each time another.
#
# Exits with 1 when that is no longer so.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
echo '{ "type": "module", "private": true }' > package.json
npm install --silent node@20.20.2 piscina@5.3.2
cat > import.js <<'JS'
import { closeSync, openSync, readFileSync } from 'node:fs';
const held = [];
try {
  for (;;) held.push(openSync('/dev/null', 'r'));
} catch {}
const code = async (work) => {
  try {
    await work();
    return 'no error';
  } catch (error) {
    return error.code;
  }
};
const read = await code(() => readFileSync('node_modules/piscina/package.json'));
const imported = await code(() => import('piscina'));
for (const file of held) closeSync(file);
const later = await code(() => import('piscina'));
console.log(`no file may be opened: readFileSync ${read}, import ${imported}; files may be opened again: import ${later}`);
process.exitCode = read === 'EMFILE' && imported === 'ERR_MODULE_NOT_FOUND' && later === imported ? 0 : 1;
JS
ulimit -n 64
./node_modules/node/bin/node import.js
