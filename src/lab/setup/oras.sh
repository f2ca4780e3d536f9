#!/bin/sh
# Puts oras-py, a client of registries that we did not write, where tests find it.
#
# In:  tests/tests/bundles/oras/requirements.txt, which names every file by its checksum; Python's pip. Out: $CACHE/oras/lib, for PYTHONPATH.
# No script of a package is run; nothing of it goes onto the gateway.
# Not here: what it is asked to do (tests/tests/bundles/oras.rs).
set -eu
# shellcheck source=src/lab/setup/cache.sh
. "$(dirname -- "$0")/cache.sh"

WANTED=$TOP/tests/tests/bundles/oras/requirements.txt

case ${1-} in
'') ;;
*)
    echo "usage: oras.sh   puts oras-py into $CACHE/oras"
    [ "$1" = --help ] || [ "$1" = -h ] || exit 2
    exit 0
    ;;
esac

locked oras
key=$(cat "$0" "$WANTED" | sha256sum | cut -c 1-16)
[ "$(cat "$CACHE/oras/key" 2>/dev/null)" != "$key" ] || exit 0
new=$CACHE/oras.new
rm -rf "$new"
mkdir -p "$new"
say 'fetching oras-py, once'
# Files for any machine only: what comes is the same everywhere.
python3 -m pip install --disable-pip-version-check --root-user-action=ignore --no-deps --require-hashes --no-compile \
    --only-binary :all: --platform any --implementation py --abi none --target "$new/lib" -r "$WANTED" >"$CACHE/oras.log" 2>&1 ||
    fail_as "$CACHE/oras.log" 'oras-py is not to be had: is there a network?'
echo "$key" >"$new/key"
rm -rf "$CACHE/oras"
mv "$new" "$CACHE/oras"
