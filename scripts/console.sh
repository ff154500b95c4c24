#!/usr/bin/env bash
# Builds the console into console/dist when its sources have changed since the last time.
set -euo pipefail
cd "$(dirname "$0")/../console"
cache=${SERENO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sereno}
[ -f "$cache/node-path" ] && PATH=$(cat "$cache/node-path"):$PATH
sum=$(find . \( -name node_modules -o -name dist -o -name mock \) -prune -o -type f -print \
    | LC_ALL=C sort | xargs -d '\n' sha256sum | sha256sum | cut -d ' ' -f 1)
if [ -f dist/index.html ] && [ "$(cat node_modules/.console-built 2> /dev/null)" = "$sum" ]; then exit 0; fi
echo "console: building" >&2
npm ci --silent --no-audit --no-fund >&2
npm run --silent build >&2
printf '%s' "$sum" > node_modules/.console-built
