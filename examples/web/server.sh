#!/bin/sh
# A web server, and the agent that makes it known: server.sh NUMBER
set -eu
number=$1
mkdir -p "run/web$number"
echo "web$number" >"run/web$number/index.html"
python3 -m http.server 8000 --bind "127.0.0.1$number" --directory "run/web$number" 2>"run/web$number.log" &
exec taraf agent -node="web$number" -bind="127.0.0.1$number" -rpc-addr="127.0.0.1$number:7373" \
    -tag=service=web -tag=port=8000 -retry-join=127.0.0.10 -retry-interval=1s
