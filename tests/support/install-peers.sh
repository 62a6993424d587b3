#!/bin/sh
# Install the RADIUS peers and the PostgreSQL that the tests start themselves. As root it installs what is missing; for
# anybody else it names the command. Daemons that the packages would start stay off. Exit status 0 in both cases: the
# tests say themselves what they leave out (and with CI=true they leave out nothing).
set -eu

packages=""
have() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]; }
have eapol_test || packages="$packages eapoltest"
have freeradius || packages="$packages freeradius"
have radclient || packages="$packages freeradius-utils"
have radsecproxy || packages="$packages radsecproxy"
have hostapd || packages="$packages hostapd"
have wpa_supplicant || packages="$packages wpasupplicant"
have curl || packages="$packages curl"
have knotd || packages="$packages knot"
have faketime || packages="$packages faketime"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || packages="$packages postgresql"
have cc || packages="$packages gcc libc6-dev"
[ -e "/usr/include/python$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')/Python.h" ] || packages="$packages python3-dev"
[ -n "$packages" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "Some tests need programs that are not here and will be left out. To run them too:" >&2
    echo "  sudo apt-get install --no-install-recommends$packages" >&2
    exit 0
fi

# invoke-rc.d asks this file before it starts anything; ours is made only where none stands, and goes again.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 - a list of words
apt-get install -y -qq --no-install-recommends $packages >/dev/null
