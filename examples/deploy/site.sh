#!/bin/sh
# A web server, and the agent that deploys what it serves: site.sh NUMBER
set -eu
number=$1
mkdir -p "run/site$number/none"
echo 'nothing yet' >"run/site$number/none/index.html"
ln -sfn none "run/site$number/current"
python3 -m http.server 8000 --bind "127.0.0.3$number" --directory "run/site$number" 2>"run/site$number.log" &
# The handler asks this agent.
export SERF_RPC_ADDR="127.0.0.3$number:7373"
exec taraf agent -node="site$number" -bind="127.0.0.3$number" -rpc-addr="$SERF_RPC_ADDR" \
    -tag=service=site -tag=release=none -retry-join=127.0.0.31 -retry-interval=1s \
    -event-handler='user:deploy,query:deploy=examples/deploy/deploy.sh'
