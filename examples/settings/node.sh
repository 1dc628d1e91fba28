#!/bin/sh
# A Redis server, and the agent that sets it up: node.sh NUMBER ZONE
set -eu
number=$1
redis-server --bind "127.0.0.4$number" --port 6379 --save '' --appendonly no >"run/store$number.log" &
exec taraf agent -node="store$number" -bind="127.0.0.4$number" -rpc-addr="127.0.0.4$number:7373" \
    -tag=service=store -tag=zone="$2" -tag=address="127.0.0.4$number" -retry-join=127.0.0.41 -retry-interval=1s \
    -event-handler='query:settings=examples/settings/settings.sh'
