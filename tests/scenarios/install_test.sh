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
for file in usr/bin/vitrine usr/bin/vitrined usr/bin/vitrine-poold usr/lib/systemd/system/vitrined.service \
    usr/lib/systemd/system/vitrine-poold.service usr/share/man/man8/vitrine-poold.8 etc/vitrine/vitrine.conf \
    usr/share/man/man1/vitrine.1 usr/share/man/man8/vitrined.8 usr/share/man/man5/vitrine.conf.5 \
    usr/share/bash-completion/completions/vitrine usr/share/zsh/vendor-completions/_vitrine; do
    [ -s "$dest/$file" ] || fail "$file is missing"
done
VITRINE_CONF='' "$dest/usr/bin/vitrine" --version | grep -q '^vitrine [0-9]' || fail "vitrine does not run"
"$dest/usr/bin/vitrined" --version | grep -q '^vitrined [0-9]' || fail "vitrined does not run"
VITRINE_CONF='' "$dest/usr/bin/vitrine-poold" --version | grep -q '^vitrine-poold [0-9]' || fail "vitrine-poold does not run"
bash -n "$dest/usr/share/bash-completion/completions/vitrine" || fail "completion is no shell"
grep -q '^NoNewPrivileges=yes' "$dest/usr/lib/systemd/system/vitrined.service" || fail "the unit is not hardened"
! grep -q '@CMAKE\|@VT_' "$dest/usr/lib/systemd/system/vitrined.service" || fail "the unit has an unfilled place"
grep -q '^SystemCallFilter=@system-service' "$dest/usr/lib/systemd/system/vitrined.service" || fail "the unit lost its filter"
poold=$dest/usr/lib/systemd/system/vitrine-poold.service
for line in 'Type=notify' 'User=vitrine-pool' 'NoNewPrivileges=yes' 'ExecStart=/usr/bin/vitrine-poold' 'ExecReload=/bin/kill -HUP' 'RuntimeDirectory='; do
    grep -q "^$line" "$poold" || fail "vitrine-poold.service has no $line"
done
! grep -q '@CMAKE\|@VT_' "$poold" || fail "vitrine-poold.service has an unfilled place"
if command -v systemd-analyze >/dev/null; then
    # Its programs are not at their final place, so only faults of the units themselves count.
    for unit in vitrined vitrine-poold; do
        ! systemd-analyze verify "$dest/usr/lib/systemd/system/$unit.service" 2>&1 | grep -i 'unknown\|invalid\|failed to parse' ||
            fail "systemd does not understand $unit.service"
    done
fi
# The example with every key enabled (but TLS, which wants files, and the sizes that a small disk has not): the node starts with it and
# knows each of them.
sed -e 's/^#\([a-z_]* = ..*\)/\1/' -e 's/^#\(\[[a-z]* ".*\)/\1/' -e '/^warn_free\|^stop_free/d' "$dest/etc/vitrine/vitrine.conf" >"$dest/all.conf"
# What faces modalities knows nothing of the pool (docs/architecture.md).
for library in libvirt libcurl; do
    ! ldd "$dest/usr/bin/vitrined" | grep "$library" || fail "vitrined links $library"
done
"$dest/usr/bin/vitrined" -c "$dest/all.conf" -o archive.path="$dest/archive" -o dicom.port=0 -o http.port=0 2>"$dest/log" &
pid=$!
tries=0
until grep -q '^ready' "$dest/log"; do
    tries=$((tries + 1))
    if [ "$tries" -gt 200 ] || ! kill -0 "$pid" 2>/dev/null; then
        cat "$dest/log"
        kill -TERM "$pid" 2>/dev/null || true
        fail "the node does not start with the example configuration"
    fi
    sleep 0.1
done
"$dest/usr/bin/vitrine" -c "$dest/all.conf" -o archive.path="$dest/archive" status >/dev/null || fail "status"
"$dest/usr/bin/vitrine" -c "$dest/all.conf" peer explain CT1 | grep -q '10.0.0.7 port 104' || fail "the example's peer"
kill -TERM "$pid"
wait "$pid" || fail "the node ended with $?"
! grep 'configuration.unknown' "$dest/log" || fail "the example has a key that nobody reads"

echo "# changed here" >>"$dest/etc/vitrine/vitrine.conf"
install
tail -n 1 "$dest/etc/vitrine/vitrine.conf" | grep -q 'changed here' || fail "an upgrade overwrote the configuration"
echo "install: everything in place, the configuration is kept"
