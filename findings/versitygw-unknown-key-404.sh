#!/usr/bin/env bash
# versitygw v1.8.0 (built by go from the module proxy; needs Go 1.25 or newer): what it answers to an access key that it does not know.
#
# One would guess: 403 InvalidAccessKeyId, as S3, MinIO and rclone answer.
# Seen: 404 with the code XAdminUserNotFound. A client that takes 404 for "no such object" sends its user to look for a key that is there,
# and one that asks with HEAD, whose answer has no code, cannot tell the two apart.
set -euo pipefail
work="$(mktemp -d)"
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$work"' EXIT
GOPATH="$work/go" GOCACHE="$work/cache" GOFLAGS=-modcacherw go install github.com/versity/versitygw/cmd/versitygw@v1.8.0 2>/dev/null
mkdir -p "$work/root/bucket"
printf 'an object' >"$work/root/bucket/a"
port="$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
ROOT_ACCESS_KEY=known ROOT_SECRET_KEY=secret "$work/go/bin/versitygw" --port "127.0.0.1:$port" --quiet posix "$work/root" >"$work/log" 2>&1 &
server=$!
for _ in $(seq 100); do curl -s -o "$work/body" "http://127.0.0.1:$port/" && break; sleep 0.1; done

# SHA-256 of an empty body, which curl before 8 does not send by itself.
EMPTY=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
# Status and body of a signed request.
ask() {
  curl -s -w '%{http_code}\n' --aws-sigv4 aws:amz:us-east-1:s3 -H "x-amz-content-sha256: $EMPTY" --user "$@" "http://127.0.0.1:$port/bucket/a"
}
echo "known key:   $(ask known:secret | tee "$work/known")"
echo "unknown key: $(ask unknown:secret | tee "$work/unknown")"
echo "HEAD:        $(ask unknown:secret -I | tr -d '\r' | tee "$work/head" | grep -iE '^HTTP/|^x-amz|^content-type' | tr '\n' ' ')"
grep -q '^an object200$' "$work/known"
grep -q '<Code>XAdminUserNotFound</Code>' "$work/unknown"
grep -q '404$' "$work/unknown"
grep -q '^HTTP/1.1 404' "$work/head"
if grep -qE 'InvalidAccessKeyId|XAdmin' "$work/head"; then exit 1; fi
echo 'as described'
