#!/bin/sh
# tools/packages.sh KIND...: installs what debian-packages.txt lists for these kinds and is not there yet. Quick when nothing is missing.
set -eu
cd "$(dirname "$0")/.."

wanted=""
for kind in "$@"; do
    wanted="$wanted $(sed -n "s/^$kind //p" debian-packages.txt)"
done
missing=""
for package in $wanted; do
    [ "$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null)" = "install ok installed" ] && continue
    # A command of that name from elsewhere will do: the nodejs of another source brings its npm.
    command -v "$package" >/dev/null || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

sudo=""
if [ "$(id -u)" != 0 ]; then
    sudo=$(command -v sudo) || { echo "packages are missing and neither root nor sudo is here:$missing" >&2; exit 1; }
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
install="apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=500"
# shellcheck disable=SC2086
$sudo $install $missing >/dev/null || { $sudo apt-get update -q && $sudo $install $missing; }
