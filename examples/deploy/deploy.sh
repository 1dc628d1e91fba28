#!/bin/sh
# A handler: puts a release in place. Standard input is `VERSION SHA256`; what is printed answers a query.
set -eu
read -r version sum
# What comes with an event is what somebody sent: nothing but a plain version may become part of a path.
case $version in
'' | *[!0-9.]* | .*)
    echo "no version: $version" >&2
    exit 1
    ;;
esac

own=run/$SERF_SELF_NAME
if [ "$(readlink "$own/current")" = "$version" ]; then
    echo "release $version was in place"
    exit 0
fi
archive=$own/$version.tar.gz
curl -sSf -o "$archive" "http://127.0.0.30:8000/site-$version.tar.gz"
echo "$sum  $archive" | sha256sum --check --quiet
rm -rf "$own/$version"
mkdir "$own/$version"
tar -xzf "$archive" -C "$own/$version"
rm "$archive"

# A name changes its meaning at once: nobody is served half of a release.
ln -sfn "$version" "$own/next"
mv -T "$own/next" "$own/current"
taraf tags -set="release=$version" >/dev/null
echo "release $version in place"
