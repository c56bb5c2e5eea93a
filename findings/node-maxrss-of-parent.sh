#!/bin/sh
# Subject: Node 20.20.2 (npm package node) on Linux: process.resourceUsage().maxRSS, which is getrusage's ru_maxrss.
#
# A benchmark that compares the peak memory of data loaders gives each a process of its own and reads maxRSS at its end. One would guess that
# this is the peak of that process.
#
# Seen: it is at least what the process that started it held at that moment. A child that uses some 40 MB says 300 MB and more when its parent
# holds as much. VmHWM in /proc/self/status, which begins anew with the program, says 40 MB. So a test run that has grown makes
# every child look large, and a small one does not.
#
# Exits with 1 when that is no longer so.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
echo '{ "private": true }' > package.json
npm install --silent node@20.20.2
cat > child.mjs <<'JS'
import { readFileSync } from 'node:fs';
const [, kilobytes] = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'));
console.log(JSON.stringify({ maxRSS: Math.round(process.resourceUsage().maxRSS / 1024), VmHWM: Math.round(kilobytes / 1024) }));
JS
cat > parent.mjs <<'JS'
import { execFileSync } from 'node:child_process';
const child = () => JSON.parse(execFileSync(process.execPath, ['child.mjs']));
const before = child();
const held = Buffer.alloc(300 << 20, 1);
const after = child();
console.log(`parent of ${(process.memoryUsage.rss() - held.length) >> 20} MB: child`, before);
console.log(`parent of ${process.memoryUsage.rss() >> 20} MB: child`, after);
process.exitCode = after.maxRSS > 300 && after.VmHWM < 150 && before.maxRSS < 200 ? 0 : 1;
JS
./node_modules/.bin/node parent.mjs
