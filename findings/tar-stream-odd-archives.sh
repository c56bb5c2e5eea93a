#!/usr/bin/env bash
# Subject: tar-stream 3.2.2 (npm), reading archives that GNU tar made and lists to the end, as people's data sets are.
#
# One would guess that `allowUnknownFormat` and `filenameEncoding: 'latin1'`, its most lenient options, read what tar reads.
#
# Seen: v7 archives are read, and two other kinds end in an error. Behind the two empty blocks that end an archive, tar stops and tar-stream goes on, so that
# a tail of text is an "Invalid tar header". A file that `tar --sparse` packed with more than four pieces has blocks of its map behind the
# header, which no size counts: tar-stream takes them for the content and loses its place.
#
# Exits with 1 when that is no longer so.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --prefix . tar-stream@3.2.2 >/dev/null
cat >list.mjs <<'JS'
import { createReadStream } from 'node:fs';
import { extract } from 'tar-stream';
const archive = extract({ allowUnknownFormat: true, filenameEncoding: 'latin1' });
let members = 0;
createReadStream(process.argv[2]).pipe(archive);
try {
  for await (const entry of archive) {
    members++;
    entry.resume();
  }
  console.log(`${members} members`);
} catch (error) {
  console.log(`${members} members, then "${error.message}"`);
}
JS
for name in a b c; do head -c 700 /dev/urandom >"$name.jpg"; done
# Twelve pieces of 4 KiB, a hole of 60 KiB behind each.
for piece in $(seq 0 11); do dd if=/dev/urandom of=holes.jpg bs=4096 count=1 seek=$((piece * 16)) conv=notrunc status=none; done

tar --format=v7 -cf v7.tar a.jpg b.jpg c.jpg
tar -cf tail.tar a.jpg b.jpg c.jpg
head -c 600 /dev/zero | tr '\0' 'x' >>tail.tar
tar --format=gnu --sparse -cf sparse.tar a.jpg holes.jpg b.jpg c.jpg
result=0
expect() {
  local said
  said="$(node list.mjs "$1")"
  echo "$1: tar lists $(tar -tf "$1" 2>/dev/null | wc -l), tar-stream: $said"
  [[ "$said" == $2 ]] || result=1
}
expect v7.tar '3 members'
expect tail.tar '3 members, then *'
expect sparse.tar '2 members, then *'
exit "$result"
