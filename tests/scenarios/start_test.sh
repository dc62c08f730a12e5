#!/bin/sh
# ./start on free ports with data of its own: comes up, stores its samples through DICOM once, its lines work as printed, a second run is quick and
# sends nothing, TERM ends it cleanly. The build is there already (VT_BIN_DIR is build/release/bin), else ./start would make it: then this is skipped.
set -eu
cd "${VT_SOURCE_DIR:?}"
if [ "$(readlink -f "${VT_BIN_DIR:?}")" != "$(readlink -f build/release/bin)" ]; then
    echo "skipped: ./start runs build/release, these programs are $VT_BIN_DIR"
    exit 0
fi

folder=$(mktemp -d /var/tmp/vitrine-start-XXXXXX)
pid=""
finish() {
    [ -z "$pid" ] || kill -TERM "$pid" 2>/dev/null || true
    [ -z "$pid" ] || wait "$pid" 2>/dev/null || true
    rm -rf "$folder"
}
trap finish EXIT
fail() {
    echo "FAIL: $*"
    [ ! -e "$folder/log" ] || tail -n 40 "$folder/log"
    exit 1
}
free_port() {
    /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

VITRINE_VAR=$folder/var
VITRINE_PORT=$(free_port)
VITRINE_DEMO_PORT=$(free_port)
VITRINE_POOL_PORT=$(free_port)
VITRINE_HTTP_PORT=$(free_port)
VITRINE_GUEST_PORT=$(free_port)
export VITRINE_HTTP_PORT VITRINE_VAR VITRINE_PORT VITRINE_DEMO_PORT VITRINE_POOL_PORT VITRINE_GUEST_PORT
export VITRINE_CONF=$VITRINE_VAR/vitrine.conf
vitrine=$VT_BIN_DIR/vitrine

# wait_for TEXT: in the log of this run, 200 s at most (the first run may have to build).
wait_for() {
    tries=0
    until grep -q "$1" "$folder/log" 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 2000 ] || fail "'$1' did not come"
        kill -0 "$pid" 2>/dev/null || fail "./start ended before '$1'"
        sleep 0.1
    done
}

begin() {
    rm -f "$folder/log"
    ./start "$@" >"$folder/log" 2>&1 &
    pid=$!
}

./start --help | grep -q -- --no-demo || fail "no help"
status=0
./start --paint >"$folder/log" 2>&1 || status=$?
[ "$status" = 2 ] || fail "wrong usage ended with $status"

begin
wait_for "vitrine --help"
grep -q "^sent 38 instances" "$folder/log" || fail "the samples were not sent"
[ "$("$vitrine" study list --json | wc -l)" = 4 ] || fail "not 4 studies"

# The printed lines, as they are.
grep '^  \(echoscu\|findscu\|mkdir\)' "$folder/log" >"$folder/lines"
[ "$(wc -l <"$folder/lines")" = 4 ] || fail "4 lines for DCMTK's tools"
sed "s#/tmp/out#$folder/out#g" "$folder/lines" >"$folder/lines.sh"
while read -r line; do
    rm -rf "$folder/out"
    sh -c "$line" >"$folder/line.log" 2>&1 || { cat "$folder/line.log"; fail "does not work: $line"; }
    case $line in
    mkdir*) [ "$(find "$folder/out" -type f | wc -l)" = 24 ] || fail "not 24 files: $line" ;;
    esac
done <"$folder/lines.sh"
"$vitrine" verify >/dev/null || fail "verify"

# The lines of the README's section on VMs, as they are, against the simulated pool through its daemon.
grep -q "vitrine vm list" "$folder/log" || fail "no pool: $(cat "$VITRINE_VAR/pool/log")"
sed -n '/^## VMs in five minutes/,/^## Slides/p' README.md | sed -n '/^```$/,/^```$/p' | grep '^vitrine' | grep -v '^vitrine watch' >"$folder/vm.lines"
[ "$(wc -l <"$folder/vm.lines")" -ge 10 ] || fail "the README has no lines on VMs"
while read -r line; do
    (PATH=$VT_BIN_DIR:$PATH sh -c "$line" </dev/null) >"$folder/line.log" 2>&1 || { cat "$folder/line.log"; fail "does not work: $line"; }
    [ -s "$folder/line.log" ] || fail "says nothing: $line"
done <"$folder/vm.lines"
[ "$("$vitrine" host list --json | wc -l)" = 4 ] || fail "the fourth host did not join"
grep -q "pool.verb verb=vm.snapshot" "$VITRINE_VAR/pool/log" || fail "the verbs did not go through vitrine-poold"

# The two commands that watch a network, cut it and show the incident: the README's port is ours here.
grep '^vitrine watch' README.md | sed "s#--port 8443#--port $VITRINE_POOL_PORT#" >"$folder/watch.lines"
[ "$(wc -l <"$folder/watch.lines")" = 2 ] || fail "the README has not two lines on watching"
(PATH=$VT_BIN_DIR:$PATH sh -c "$(sed -n 1p "$folder/watch.lines")" </dev/null) >"$folder/line.log" 2>&1 ||
    { cat "$folder/line.log"; fail "does not watch"; }
tries=0
until (PATH=$VT_BIN_DIR:$PATH sh -c "$(sed -n 2p "$folder/watch.lines")") | grep -q 'network-lost *ws-0005 *[0-9a-f]\{8\}-'; do
    tries=$((tries + 1))
    [ "$tries" -lt 120 ] || fail "no incident with a snapshot: $("$vitrine" watch timeline)"
    sleep 0.5
done
"$vitrine" vm snapshots --json | grep '"vm":"ws-0005"' | grep -q vitrine-netloss || fail "the pool has no snapshot of ws-0005"

# TERM ends it, with status 0, and the socket is gone.
kill -TERM "$pid"
status=0
wait "$pid" || status=$?
pid=""
[ "$status" = 0 ] || fail "ended with $status"
[ ! -e "$VITRINE_VAR/archive/control.sock" ] || fail "the control socket was left behind"
[ ! -e "$VITRINE_VAR/pool/pool.sock" ] || fail "the pool's socket was left behind"
! "$VT_BIN_DIR/vitrine-poolsim" ctl --port "$VITRINE_POOL_PORT" delay 0 2>/dev/null || fail "the simulated pool goes on"

# Again: nothing is sent twice.
begin
wait_for "vitrine --help"
! grep -q "^sent" "$folder/log" || fail "the samples were sent twice"
[ "$("$vitrine" study list --json | wc -l)" = 4 ] || fail "not 4 studies any more"
kill -TERM "$pid"
status=0
wait "$pid" || status=$?
pid=""
[ "$status" = 0 ] || fail "ended with $status on the second run"

# Without samples, with an override.
rm -rf "$VITRINE_VAR"
begin --no-demo -o archive.path="$folder/elsewhere"
wait_for "vitrine --help"
[ "$("$vitrine" -o archive.path="$folder/elsewhere" study list --json | wc -l)" = 0 ] || fail "samples although --no-demo"
[ ! -e "$VITRINE_VAR/pool" ] || fail "a pool although --no-demo"
kill -TERM "$pid"
wait "$pid" || fail "ended with $?"
pid=""
echo "start: comes up, its lines work, ends cleanly"
