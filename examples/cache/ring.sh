#!/bin/sh
# A handler: writes the caches that are there into the proxy's configuration, and has it started again when that changed.
set -eu
file=run/ring.yml

# Tags are what others say of themselves: what is no plain name or number stays out of the file.
servers='.members // [] | sort_by(.name)[]
    | select(.name | test("\\A[A-Za-z0-9.-]+\\z"))
    | select([.tags.port, .tags.weight] | all(. // "" | test("\\A[0-9]+\\z")))
    | "   - \(.addr | sub(":[0-9]+$"; "")):\(.tags.port):\(.tags.weight) \(.name)"'
{
    cat examples/cache/ring.head.yml
    taraf members -status=alive -tag=service=cache -format=json | jq -r "$servers"
} >"$file.new"

if cmp -s "$file.new" "$file"; then exit 0; fi
nutcracker -t -c "$file.new" -o run/check.log
mv "$file.new" "$file"
if [ -e run/nutcracker.pid ]; then kill "$(cat run/nutcracker.pid)" 2>/dev/null || true; fi
