#!/bin/sh
# Subject: pickleparser 0.2.1 (npm), the newest release, which reads pickles of protocols 0 to 5.
#
# Python pickles integers of more than 32 bits in two's complement of as many bytes as they need (LONG1). One would guess that they are read as
# they were written, or refused.
#
# Seen: negative ones come back positive, without an error: -2147483649 as 1097364144127. Integers of more than 8 bytes are refused,
# such as the number that begins a checkpoint of torch.save in its format before torch 1.6, so that none of those can be read.
#
# Exits with 1 when that is no longer so. Needs python3.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
echo '{ "private": true }' > package.json
npm install --silent pickleparser@0.2.1
cat > read.mjs <<'JS'
import { execFileSync } from 'node:child_process';
import pickleparser from 'pickleparser';
const read = (value) => {
  const code = `import pickle, sys; sys.stdout.buffer.write(pickle.dumps(${value}, 2))`;
  try {
    return String(new pickleparser.Parser().parse(execFileSync('python3', ['-c', code])));
  } catch (error) {
    return `error: ${error.message}`;
  }
};
const TORCH = '0x1950a86a20f9469cfc6c';
const seen = Object.fromEntries(['1099511627776', '-2147483648', '-2147483649', '-1099511627776', TORCH].map((value) => [value, read(value)]));
for (const [value, found] of Object.entries(seen)) console.log(`${value} is read as ${found}`);
const asGuessed = ['1099511627776', '-2147483648'].every((value) => seen[value] === value);
const otherwise = seen['-2147483649'] === '1097364144127' && !seen['-1099511627776'].startsWith('-') && seen[TORCH].startsWith('error');
process.exitCode = asGuessed && otherwise ? 0 : 1;
JS
node read.mjs
