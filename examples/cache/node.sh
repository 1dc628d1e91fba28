#!/bin/sh
# A Redis server that keeps nothing on disk, and the agent that makes it known: node.sh NUMBER
set -eu
number=$1
redis-server --bind "127.0.0.2$number" --port 6379 --save '' --appendonly no >"run/cache$number.log" &
exec taraf agent -node="cache$number" -bind="127.0.0.2$number" -rpc-addr="127.0.0.2$number:7373" \
    -tag=service=cache -tag=port=6379 -tag=weight="${2:-1}" -retry-join=127.0.0.20 -retry-interval=1s
