#!/bin/sh
# A handler: takes over settings of Redis, one a line, and answers with what they are now.
set -eu
redis() { redis-cli -e -h "$SERF_TAG_ADDRESS" "$@"; }

settings=$(cat)
# Only what may be changed from afar; anything else, and nothing is changed.
echo "$settings" | while read -r name value rest; do
    case "$name $value $rest" in
    'maxmemory '[0-9]*' ' | 'maxmemory-policy '*-lru' ' | 'timeout '[0-9]*' ') ;;
    *)
        echo "not to be set: $name" >&2
        exit 1
        ;;
    esac
done
echo "$settings" | while read -r name value; do
    redis config set "$name" "$value" >/dev/null
    redis config get "$name"
done | paste -sd' '
