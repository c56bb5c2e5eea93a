#!/bin/sh
# Subject: npm 10.9.4 and 11.19.1 (npm), `npx NAME` that is sent a signal, with `sh` being dash (Debian, Ubuntu) or bash (script-shell).
#
# One would guess that `kill PID_OF_NPX` ends the command.
#
# Seen: npx starts `sh -c NAME` and sends SIGINT and SIGTERM on to that shell alone. dash stays between: SIGTERM ends dash and npx, and the
# command goes on without either, told by nobody. bash makes way for the command, which gets the SIGTERM. It may get each Ctrl-C twice then, once
# from the terminal and once from npx, milliseconds apart, as the last lines show at most runs: "again to stop at once" must allow for it.
#
# Exits with 1 when that is no longer so.
set -eu
dash=$(command -v dash)
bash=$(command -v bash)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/project/node_modules/.bin"
cd "$dir/project"
echo '{ "name": "project", "version": "1.0.0", "private": true }' > package.json
# Appends what it hears to log.txt; ends by itself after three seconds, or half a second after the first signal.
cat > node_modules/.bin/listener <<'JS'
#!/usr/bin/env node
const { appendFileSync } = require('node:fs');
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    appendFileSync('log.txt', `${signal} `);
    setTimeout(() => process.exit(), 500);
  });
}
setTimeout(() => (appendFileSync('log.txt', 'to-the-end'), process.exit()), 3000);
console.log('listens');
JS
chmod +x node_modules/.bin/listener
# argv: npx-cli.js, shell, signal, whom. Sends the signal when the command listens, and waits until nobody holds its output.
cat > send.mjs <<'JS'
import { spawn } from 'node:child_process';
const [npx, shell, signal, whom] = process.argv.slice(2);
const stdio = ['ignore', 'pipe', 'ignore'];
const child = spawn(process.execPath, [npx, '--offline', '--script-shell', shell, 'listener'], { stdio, detached: true });
child.stdout.once('data', () => process.kill(whom === 'group' ? -child.pid : child.pid, signal));
JS
as_said=0
for version in 10.9.4 11.19.1; do
  npm install --silent --prefix "$dir/npm-$version" "npm@$version"
  for case in "$dash SIGTERM npx to-the-end" "$bash SIGTERM npx SIGTERM" "$bash SIGINT group SIGINT*"; do
    set -f -- $case
    rm -f log.txt
    node send.mjs "$dir/npm-$version/node_modules/npm/bin/npx-cli.js" "$1" "$2" "$3"
    heard=$(sed 's/ *$//; s/ /-/g' log.txt)
    echo "npm $version, $(basename "$1"), $2 to $3: $heard"
    case $heard in
      $4) ;;
      *) as_said=1 ;;
    esac
  done
done
exit $as_said
