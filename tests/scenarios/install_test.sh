#!/bin/sh
# `cmake --install` into a DESTDIR: programs, unit, configuration, man pages and completion are in place, the programs run from there,
# and a second install keeps a configuration that was changed.
set -eu
build=$(dirname "${VT_BIN_DIR:?}")
dest=$(mktemp -d /var/tmp/vitrine-install-XXXXXX)
trap 'rm -rf "$dest"' EXIT
fail() {
    echo "FAIL: $*"
    exit 1
}
install() {
    DESTDIR=$dest cmake --install "$build" --prefix /usr >"$dest/install.log" 2>&1 || { cat "$dest/install.log"; fail "install"; }
}

mkdir -p "$dest"
install
for file in usr/bin/vitrine usr/bin/vitrined usr/lib/systemd/system/vitrined.service etc/vitrine/vitrine.conf \
    usr/share/man/man1/vitrine.1 usr/share/man/man8/vitrined.8 usr/share/man/man5/vitrine.conf.5 \
    usr/share/bash-completion/completions/vitrine usr/share/zsh/vendor-completions/_vitrine; do
    [ -s "$dest/$file" ] || fail "$file is missing"
done
VITRINE_CONF='' "$dest/usr/bin/vitrine" --version | grep -q '^vitrine [0-9]' || fail "vitrine does not run"
"$dest/usr/bin/vitrined" --version | grep -q '^vitrined [0-9]' || fail "vitrined does not run"
bash -n "$dest/usr/share/bash-completion/completions/vitrine" || fail "completion is no shell"
grep -q '^NoNewPrivileges=yes' "$dest/usr/lib/systemd/system/vitrined.service" || fail "the unit is not hardened"
! grep -q '@CMAKE\|@VT_' "$dest/usr/lib/systemd/system/vitrined.service" || fail "the unit has an unfilled place"
grep -q '^SystemCallFilter=@system-service' "$dest/usr/lib/systemd/system/vitrined.service" || fail "the unit lost its filter"
if command -v systemd-analyze >/dev/null; then
    # Its programs are not at their final place, so only faults of the unit itself count.
    ! systemd-analyze verify "$dest/usr/lib/systemd/system/vitrined.service" 2>&1 | grep -i 'unknown\|invalid\|failed to parse' ||
        fail "systemd does not understand the unit"
fi
# The example with everything enabled is understood: every key without its '#'.
sed 's/^#\([a-z_]* = ..*\)/\1/' "$dest/etc/vitrine/vitrine.conf" >"$dest/all.conf"
VITRINE_CONF='' "$dest/usr/bin/vitrine" -c "$dest/all.conf" peer list >/dev/null || fail "the example configuration is wrong"

echo "# changed here" >>"$dest/etc/vitrine/vitrine.conf"
install
tail -n 1 "$dest/etc/vitrine/vitrine.conf" | grep -q 'changed here' || fail "an upgrade overwrote the configuration"
echo "install: everything in place, the configuration is kept"
