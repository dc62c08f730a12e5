#!/bin/bash
# ICMP and C-ECHO probes against a simulated pool in a network namespace of its own, where a packet filter loses one guest's packets, and
# then all that we send: without anchors too that is our own network.
# Left out where namespaces or nft may not be used.
set -u
if [ "${1:-}" != inside ]; then
    unshare -n true 2>/dev/null && command -v nft >/dev/null || { echo "no network namespaces or no nft: left out"; exit 77; }
    exec unshare -n -p -f --mount-proc --kill-child bash "$0" inside
fi
bin=$VT_BIN_DIR
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
ip link set lo up
nft 'add table inet f; add chain inet f in { type filter hook input priority 0; }' || exit 77
(umask 077; echo vitrine >"$dir/password")
"$bin/vitrine-poolsim" --port 8443 --hosts 2 --vms 6 --password-file "$dir/password" 2>"$dir/sim.log" &
set -- -o pool.url=http://127.0.0.1:8443 -o pool.password_file="$dir/password" -o pool.state="$dir/state" -o pool.socket="$dir/sock"
until_ok() {
    for _ in $(seq 1 300); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.1
    done
    echo "FAIL not in 30 s: $*"
    cat "$dir"/*.log
    exit 1
}
until_ok grep -q ready "$dir/sim.log"
"$bin/vitrine-poold" "$@" -o watch.interval=0.5 -o watch.timeout=1 -o watch.threshold=2 -o watch.grace=1 2>"$dir/poold.log" &
until_ok grep -q ready "$dir/poold.log"
vitrine() { VITRINE_CONF='' "$bin/vitrine" "$@"; }
is() { vitrine "${@:3}" watch list --json | grep "\"vm\":\"$1\"" | grep -q "\"class\":\"$2\""; }
lost() { vitrine "${@:2}" watch timeline "$1" --json | grep '"class":"network-lost"' | grep -q '"snapshot":"'; }

vitrine "$@" watch add ws-0001 --probe icmp >/dev/null || exit 1
vitrine "$@" watch add ws-0002 --probe echo --ae-title WS >/dev/null || exit 1
until_ok is ws-0001 reachable "$@"
until_ok is ws-0002 reachable "$@"
echo "ok   both answer, by ICMP and by C-ECHO"
address=$(vitrine "$@" vm list ws-0001 --json | sed 's/.*"addresses":\["\([0-9.]*\)".*/\1/')
nft "add rule inet f in ip daddr $address icmp type echo-request drop"
until_ok lost ws-0001 "$@"
echo "ok   packets that are lost are a lost network, with its snapshot"
is ws-0002 reachable "$@" || exit 1
nft flush chain inet f in
until_ok is ws-0001 reachable "$@"
echo "ok   it is back"

count() { vitrine "${@:2}" watch timeline --json | grep -c "\"class\":\"$1\""; }
open() { vitrine "${@:2}" watch timeline --open --json | grep -q "\"class\":\"$1\""; }
over() { ! open "$@"; }
vitrine "$@" watch add --all >/dev/null || exit 1
until_ok over network-lost "$@"
snapshots() { vitrine "$@" vm list --json | grep -o '"snapshots":\[[^]]*\]' | grep -c '-'; }
before=$(snapshots "$@")
lost_before=$(count network-lost "$@")
nft 'add rule inet f in drop'
until_ok open monitor-isolated "$@"
sleep 3
nft flush chain inet f in
until_ok over monitor-isolated "$@"
until_ok over control-lost "$@"
sleep 3
[ "$(count network-lost "$@")" = "$lost_before" ] && [ "$(count link-lost "$@")" = 0 ] && [ "$(snapshots "$@")" = "$before" ] || {
    vitrine "$@" watch timeline
    echo "FAIL it was taken for a loss of VMs"
    exit 1
}
echo "ok   when everything falls silent at once it is our own network, and nothing is taken"
