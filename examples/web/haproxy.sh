#!/bin/sh
# A handler: writes the web servers that are there into HAProxy's configuration, and has it read again when that changed.
set -eu
file=run/servers.cfg

# Tags are what others say of themselves: what is no plain name or port stays out of the file.
servers='.members // [] | sort_by(.name)[]
    | select((.name | test("\\A[A-Za-z0-9.-]+\\z")) and (.tags.port // "" | test("\\A[0-9]+\\z")))
    | "    server \(.name) \(.addr | sub(":[0-9]+$"; "")):\(.tags.port) check"'
{
    printf 'backend web\n    balance roundrobin\n    option redispatch\n'
    taraf members -status=alive -tag=service=web -format=json | jq -r "$servers"
} >"$file.new"

if cmp -s "$file.new" "$file"; then exit 0; fi
haproxy -c -q -f examples/web/haproxy.cfg -f "$file.new"
mv "$file.new" "$file"
if [ -e run/haproxy.pid ]; then kill -USR2 "$(cat run/haproxy.pid)"; fi
