#!/usr/bin/python3
"""The network monitor's snapshots: each guard, what becomes of a failure, a hang and a crash, expiry; the hook, the numbers, the replay."""
import json
import signal
import stat
import sys
import time

import cases
from cases import equal
from monitored import BOUND, Monitored, until


def again(world, *options):
    """The daemon anew with other bounds; nothing is watched, all guests are up."""
    world.forget()
    equal(world.end(), 0)
    world.begin(*options)


def case_a_dry_run_records_what_it_would_do(world):
    world.ok("watch", "add", "ws-0001", "--dry-run")
    world.ctl("cut-network", "ws-0001")
    world.until_refused("ws-0001", "snapshot dry-run")
    equal(world.snapshots("ws-0001"), [])
    number = world.incident_id("ws-0001")
    replayed = world.rows("watch", "incident", "replay", str(number), "threshold=50")[0]["replayed"]
    equal(replayed["class"] in ("network-lost", "reachable"), True, replayed)
    replayed = world.rows("watch", "incident", "replay", str(number), "chain-max=1")[0]["replayed"]
    equal((replayed["class"], replayed["snapshot"]), ("network-lost", "chain-depth"))
    world.fails(2, "watch", "incident", "replay", str(number), "threshold=0", say="threshold")
    world.fails(1, "watch", "incident", "show", "999", say="there is no incident 999")


def case_the_hook_gets_the_incident_at_its_stages(world):
    hook, out = world.folder / "hook", world.folder / "hook.jsonl"
    hook.write_text(f"#!/bin/sh\ncat >>{out}\necho >>{out}\n")
    hook.chmod(hook.stat().st_mode | stat.S_IXUSR)
    again(world, "-o", f"watch.hook={hook}")
    world.ok("watch", "add", "ws-0002")
    world.ctl("cut-network", "ws-0002")
    world.until_snapshot("ws-0002")
    world.ctl("restore-network", "ws-0002")
    world.until_incident("network-lost", "ws-0002", open_=False)

    def told():
        return [json.loads(line) for line in out.read_text().splitlines() if line] if out.exists() else []
    until(lambda: [t["event"] for t in told()] == ["incident.opened", "snapshot.taken", "incident.closed"], "three runs of the hook")
    equal({(t["vm"], t["class"]) for t in told()}, {("ws-0002", "network-lost")})


def case_the_numbers_are_in_prometheus_format(world):
    lines = world.ok("pool", "metrics").stdout.splitlines()
    values = {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}
    equal(values['vitrine_snapshots_total{pool="MAIN",outcome="done"}'], 1.0)
    equal(values['vitrine_watched_vms{pool="MAIN",class="reachable"}'], 1.0)
    slowest = values['vitrine_snapshot_request_slowest_seconds{pool="MAIN"}']
    print(f"     the request left {1000 * slowest:.1f} ms behind the classification")
    equal(slowest < 1, True, "a loaded machine may be slow, but not so slow")


def case_a_second_loss_soon_behind_the_first_gets_no_second_snapshot(world):
    world.ctl("cut-network", "ws-0002")
    world.until_refused("ws-0002", "too-soon")
    equal(len(world.snapshots("ws-0002")), 1)


def case_a_checkpoint_suspends_the_guest_and_is_no_end_of_the_incident(world):
    again(world, "-o", "watch.repeat=0")
    before = len(world.timeline("ws-0010"))
    world.ok("watch", "add", "ws-0010", "--snapshot", "checkpoint")
    world.ctl("cut-network", "ws-0010")
    taken = world.until_snapshot("ws-0010")["snapshot"]
    time.sleep(BOUND)
    rows = world.timeline("ws-0010")[before:]
    equal([(row["class"], row["closed"], row["snapshot"]) for row in rows], [("network-lost", None, taken)], rows)
    equal([(s["uuid"], s["power_state"]) for s in world.snapshots("ws-0010")], [(taken, "Suspended")])


def case_a_quiesced_snapshot_is_refused_where_the_pool_cannot(world):
    world.fails(2, "watch", "add", "ws-0010", "--snapshot", "quiesced", say="the driver xapi takes no quiesced snapshots")
    world.fails(1, "vm", "snapshot", "ws-0010", "--quiesced", say="the driver xapi cannot snapshot_with_quiesce")


def case_a_long_chain_and_a_full_storage_are_refused(world):
    again(world, "-o", "watch.chain_max=1")
    world.ok("watch", "add", "ws-0004")
    world.ctl("cut-network", "ws-0004")
    world.until_refused("ws-0004", "chain-depth: its chain has 1 links")
    again(world, "-o", "watch.free_percent=90", "-o", "watch.free_bytes=1000T")
    world.ok("watch", "add", "ws-0004")
    world.ctl("cut-network", "ws-0004")
    world.until_refused("ws-0004", "storage-space")
    equal(world.snapshots("ws-0004"), [])


def case_a_storage_that_is_full_gets_no_snapshot_until_there_is_room(world):
    again(world, "-o", "watch.repeat=0")
    storages = {row["uuid"]: row["size_bytes"] - row["free_bytes"] for row in world.rows("sr", "list")}
    world.ok("watch", "add", "ws-0007")
    for uuid in storages:
        world.ctl("fill-sr", uuid)
    until(lambda: not any(row["free_bytes"] for row in world.rows("sr", "list")), "the picture is full")
    world.ctl("cut-network", "ws-0007")
    row = world.until_refused("ws-0007", "storage-space")
    equal((row["class"], row["snapshot"], world.snapshots("ws-0007")), ("network-lost", None, []), row)
    world.ctl("restore-network", "ws-0007")
    world.until_incident("network-lost", "ws-0007", open_=False)
    for uuid, used in storages.items():
        world.ctl("set", "SR.physical_utilisation", uuid, str(used))
    until(lambda: all(row["free_bytes"] for row in world.rows("sr", "list") if row["size_bytes"]), "the picture has room")
    world.ctl("cut-network", "ws-0007")
    world.until_snapshot("ws-0007")


def case_the_storm_budget_bounds_what_is_begun(world):
    again(world, "-o", "watch.share_min=100", "-o", "watch.storm_minute=2", "-o", "watch.running=2", "-o", "watch.running_storage=2",
          "-o", "watch.repeat=0")
    names = world.running()[3:8]
    world.ok("watch", "add", *names)
    for name in names:
        world.ctl("cut-network", name)
    until(lambda: len([r for r in world.timeline("--open") if r["snapshot"] or "refused" in r["reason"]]) == 5, "five were decided")
    rows = world.timeline("--open")
    equal(len([r for r in rows if r["snapshot"]]) <= 2, True, rows)
    equal([r for r in rows if not r["snapshot"] and "storm-" not in r["reason"]], [])


def case_a_storage_that_fails_is_left_alone(world):
    again(world, "-o", "watch.repeat=0", "-o", "watch.storm_minute=100", "-o", "watch.storm_host=100", "-o", "watch.storm_storage=100",
          "-o", "watch.storm_hour=1000")
    world.ok("watch", "add", "ws-0001", "ws-0002")
    world.ctl("fail-next-task", "SR_BACKEND_FAILURE_44")
    world.ctl("cut-network", "ws-0001")
    world.until_refused("ws-0001", "snapshot failed")
    world.ctl("cut-network", "ws-0002")
    world.until_refused("ws-0002", "storage-quarantined")


def case_a_snapshot_that_hangs_is_given_up_and_never_repeated(world):
    world.forget()
    equal(world.end(), 0)
    (world.folder / "state" / "monitor.db").unlink()
    world.begin("-o", "watch.snapshot_deadline=2", "-o", "watch.quarantine=0", "-o", "watch.repeat=0")
    before = len(world.snapshots("ws-0005"))
    world.ok("watch", "add", "ws-0005")
    world.ctl("hang-next-task")
    world.ctl("cut-network", "ws-0005")
    row = until(lambda: next((r for r in world.timeline("ws-0005") if "did not end in time" in r["reason"]), None), "it is given up", 90)
    equal(row["snapshot"], None)
    time.sleep(2)
    equal(len([s for i in [world.incident_id("ws-0005")] for s in world.show(i)["snapshots"]]), 1)
    equal(len(world.snapshots("ws-0005")), before)


def case_a_crash_between_decision_and_snapshot_neither_loses_nor_doubles(world):
    world.forget()
    equal(world.end(), 0)
    world.begin("-o", "watch.repeat=0")
    before, incidents = len(world.snapshots("ws-0007")), len(world.timeline("ws-0007"))
    world.ok("watch", "add", "ws-0007")
    until(lambda: world.watched()["ws-0007"]["class"] == "reachable", "it answers")
    world.ctl("delay", "2500")             # the pool answers late: the decision is written, nothing is asked for
    world.ctl("cut-network", "ws-0007")
    world.until_incident("network-lost", "ws-0007")
    world.end(signal.SIGKILL)
    world.ctl("delay", "0")
    equal(len(world.snapshots("ws-0007")), before)
    world.begin("-o", "watch.repeat=0")
    world.until_snapshot("ws-0007", 60)
    time.sleep(BOUND)
    equal(len(world.snapshots("ws-0007")), before + 1)
    equal(len(world.timeline("ws-0007")), incidents + 1)


def case_a_crash_behind_the_request_finds_the_snapshot_by_its_name(world):
    world.forget()
    equal(world.end(), 0)
    world.begin("-o", "watch.repeat=0")
    before = {s["uuid"] for s in world.snapshots("ws-0008")}
    world.ok("watch", "add", "ws-0008")
    world.ctl("cut-network", "ws-0008")
    until(lambda: len(world.snapshots("ws-0008")) > len(before), "the snapshot is there")
    world.end(signal.SIGKILL)
    world.begin("-o", "watch.repeat=0")
    taken = world.until_snapshot("ws-0008", 60)["snapshot"]
    time.sleep(BOUND)
    equal({s["uuid"] for s in world.snapshots("ws-0008")} - before, {taken})


def case_only_our_own_expired_snapshots_are_deleted(world):
    world.forget()
    equal(world.end(), 0)
    world.begin("-o", "watch.repeat=0", "-o", "watch.expire=3")
    name = world.running()[2]
    world.ok("vm", "snapshot", name, "--name", "by hand")
    world.ok("watch", "add", name)
    world.ctl("cut-network", name)
    world.until_snapshot(name)
    until(lambda: [s["name_label"] for s in world.snapshots(name)] == ["by hand"], "ours has expired", 60)


if __name__ == "__main__":
    sys.exit(cases.main(globals(), Monitored))
