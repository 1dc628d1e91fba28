#!/bin/sh
# Runs the proxy, and starts it again when it ends, as a service manager does.
set -eu
while :; do
    # The process is known before the proxy reads its configuration, so that whoever changes that later finds it.
    # Without a server in it the proxy does not start: then it is tried again a little later.
    sh -c 'echo $$ >run/nutcracker.pid; exec nutcracker -c run/ring.yml -a 127.0.0.20 -o run/nutcracker.log' ||
        [ $? = 143 ] || sleep 0.2
done
