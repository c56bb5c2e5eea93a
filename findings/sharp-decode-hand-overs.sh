#!/usr/bin/env bash
# Subject: sharp 0.35.5 (npm, prebuilt libvips 8.18.7, Linux x64), decoding one JPEG at a time with `sharp.concurrency(1)` and no cache.
#
# One would guess that with one thread per image a decode is one task of libuv's pool: given to a thread, and answered. That is two times that
# a thread waits for another.
#
# Seen: threads of the process go to sleep some 25 to 40 times for each image of 500 x 375 pixels (voluntary context switches; 214 futex calls by
# strace), with nothing else to do. libvips reads, decodes and writes in threads of its own, which hand rows to each other, whatever
# the concurrency. With many images at once these hand-overs are what stops a process from using more than a few cores.
#
# Exits with 1 when that is no longer so.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --prefix . sharp@0.35.5 >/dev/null
cat >switches.mjs <<'JS'
import sharp from 'sharp';
sharp.concurrency(1);
sharp.cache(false);
const noise = { type: 'gaussian', mean: 128, sigma: 30 };
const jpeg = await sharp({ create: { width: 500, height: 375, channels: 3, background: '#777', noise } }).jpeg({ quality: 90 }).toBuffer();
const decode = async (images) => {
  for (let i = 0; i < images; i++) await sharp(jpeg).raw().toBuffer();
};
await decode(10);
const before = process.resourceUsage().voluntaryContextSwitches;
await decode(200);
const switches = (process.resourceUsage().voluntaryContextSwitches - before) / 200;
console.log(`concurrency ${sharp.concurrency()}: ${switches.toFixed(1)} voluntary context switches per decoded image`);
process.exit(switches > 8 ? 0 : 1);
JS
node switches.mjs
