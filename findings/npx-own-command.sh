#!/bin/sh
# Subject: npm 10.9.4 and 11.19.1 (npm), `npx NAME` run in the folder of the package that has the command NAME.
#
# A package has a command `own`, a script `prepare` (as packages that are compiled have), and `node_modules/.bin/own` is there, linked
# by hand. One would guess that npx runs that file, for node_modules/.bin is where it looks for the commands of a project.
#
# Seen: npx looks at the package's own field `bin` before node_modules/.bin. It then installs the folder as a link into its cache, and
# npm runs `prepare` for links: `npx own` compiles a checkout again that `npm ci` has just compiled, with npm 11.19.1 at the first call,
# with npm 10.9.4 at every call. With the same script under the name `postprepare`, which `npm ci` and `npm install` run as well,
# it starts at once.
#
# Exits with 1 when that is no longer so.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
as_said=0
for version in 10.9.4 11.19.1; do
  npm install --silent --prefix "$dir/npm-$version" "npm@$version"
  for event in prepare postprepare; do
    package="$dir/$version-$event"
    mkdir -p "$package/node_modules/.bin"
    cd "$package"
    echo "{ \"name\": \"own\", \"version\": \"1.0.0\", \"bin\": { \"own\": \"own.js\" }, \"scripts\": { \"$event\": \"echo ran >> ran.txt\" } }" > package.json
    printf '#!/usr/bin/env node\nconsole.log("started");\n' > own.js
    chmod +x own.js
    ln -s ../../own.js node_modules/.bin/own
    for run in first second; do
      node "$dir/npm-$version/node_modules/npm/bin/npx-cli.js" --offline --cache "$dir/cache-$version" own > /dev/null
      ran=$(cat ran.txt 2> /dev/null | wc -l)
      echo "npm $version, $event: after the $run npx it has run $ran times"
      case "$version $event $run" in
        *' postprepare '*) expected=0 ;;
        '10.9.4 prepare second') expected=2 ;;
        *) expected=1 ;;
      esac
      [ "$ran" -eq "$expected" ] || as_said=1
    done
  done
done
exit $as_said
