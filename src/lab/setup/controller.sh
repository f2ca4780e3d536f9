#!/bin/sh
# Puts usp-js, a USP controller that we did not write, where tests find it.
#
# In:  src/agent/tests/controller (package.json and its lock file, which names every package by its checksum), npm. Out:
# $CACHE/controller/node_modules. No script of a package is run; nothing of it goes onto the gateway.
# Not here: what it is asked to do (src/agent/tests).
set -eu
# shellcheck source=src/lab/setup/cache.sh
. "$(dirname -- "$0")/cache.sh"

SOURCE=$TOP/src/agent/tests/controller

case ${1-} in
'') ;;
*)
    echo "usage: controller.sh   puts usp-js into $CACHE/controller"
    [ "$1" = --help ] || [ "$1" = -h ] || exit 2
    exit 0
    ;;
esac

locked controller
key=$(cat "$0" "$SOURCE/package.json" "$SOURCE/package-lock.json" | sha256sum | cut -c 1-16)
[ "$(cat "$CACHE/controller/key" 2>/dev/null)" != "$key" ] || exit 0
new=$CACHE/controller.new
rm -rf "$new"
mkdir -p "$new"
cp -R "$SOURCE/package.json" "$SOURCE/package-lock.json" "$SOURCE/none" "$new/"
say 'fetching usp-js, once'
(cd "$new" && npm ci --omit=dev --ignore-scripts --no-audit --no-fund >"$CACHE/controller.log" 2>&1) ||
    fail_as "$CACHE/controller.log" 'usp-js is not to be had: is there a network?'
echo "$key" >"$new/key"
rm -rf "$CACHE/controller"
mv "$new" "$CACHE/controller"
