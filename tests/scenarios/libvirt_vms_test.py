#!/usr/bin/python3
"""Tiny Linux guests under QEMU (realvms.py) are started, paused, suspended, cut off, kept in snapshots, reverted and shut down by
`vitrine vm`; whether they live says ping, and libvirt's own virsh says what it sees. Then vitrine-poold watches them.
VT_LONG=N does the cut, the snapshot and the way back N times (1)."""
import os
import sys

from cases import equal
from realvms import DONE, FAILED, Daemon, World, answers, main, wait, watch

GUESTS = ("w1", "w2", "w3")
ROUNDS = int(os.environ.get("VT_LONG", "1"))
PATIENT = "120s"    # a guest boots in seconds, or in a minute where the machine has others to serve


def case_three_guests_start_at_once_and_answer(world):
    equal({row["name"]: row["power_state"] for row in world.rows("vm", "list")}, {name: "Halted" for name in GUESTS})
    rows = world.rows("vm", "start", *GUESTS)
    equal({row["outcome"] for row in rows}, {"done"}, rows)
    for name in GUESTS:
        wait(lambda: world.pings(name), f"{name} to answer")
        equal(world.vm(name)["addresses"], [world.address(name)])
    equal(world.rows("host", "list")[0]["vms"], 3)
    equal({row["uuid"] for row in world.rows("vm", "list")}, {world.virsh("domuuid", name).strip() for name in GUESTS})


def case_a_paused_guest_is_silent_until_it_is_unpaused(world):
    world.ok("vm", "pause", "w1")
    equal((world.state("w1"), world.pings("w1")), ("Paused", False))
    world.fails("vm", "pause", "w1", say="w1 is Paused")
    world.ok("vm", "unpause", "w1")
    wait(lambda: world.pings("w1"), "w1 to answer again")
    equal(world.state("w1"), "Running")


def case_a_suspended_guest_goes_on_where_it_was(world):
    log = world.boots("w1")
    world.ok("vm", "suspend", "w1")
    equal((world.state("w1"), world.pings("w1")), ("Suspended", False))
    equal("shut off" in world.virsh("domstate", "w1"), True)
    world.ok("vm", "resume", "w1")
    wait(lambda: world.pings("w1"), "w1 to answer again")
    equal(world.boots("w1") <= log, True, "it booted")


def attached(world, name):
    return world.rows("vm", "show", name)[0]["vifs"][0]["attached"]


def case_a_cut_link_is_seen_kept_in_a_snapshot_and_raised_by_the_way_back(world):
    for number in range(ROUNDS):
        world.virsh("domif-setlink", "w2", "vit2", "down")
        wait(lambda: not world.pings("w2"), "w2's silence")
        equal((attached(world, "w2"), attached(world, "w1"), world.state("w2")), (False, True, "Running"))
        row = world.rows("vm", "snapshot", "w2", "--name", f"netloss {number}")[0]
        equal((row["outcome"], world.vm("w2")["snapshots"]), ("done", [row["uuid"]]), row)
        listed = world.rows("vm", "snapshots", "w2")[0]
        equal((listed["name"], listed["kind"], listed["vm"]), (f"netloss {number}", "checkpoint", "w2"))
        equal(f"netloss {number}" in world.virsh("snapshot-list", "w2"), True)
        equal([world.pings("w1"), world.pings("w3"), world.vm("w1")["snapshots"]], [True, True, []])
        world.ok("vm", "shutdown", "w2", "--force")
        equal(world.state("w2"), "Halted")
        world.ok("vm", "revert", "w2", f"netloss {number}", "--yes")
        wait(lambda: world.pings("w2"), "w2 to answer behind the way back")
        equal((world.state("w2"), attached(world, "w2")), ("Running", True))
        world.ok("vm", "snapshot-delete", "w2", f"netloss {number}")
        equal((world.vm("w2")["snapshots"], world.virsh("snapshot-list", "w2").strip()), ([], ""))


def case_a_guest_reboots_when_it_is_asked_to(world):
    ready = world.boots("w3")
    world.ok("vm", "reboot", "w3")
    wait(lambda: world.boots("w3") > ready, "the guest's second start")
    wait(lambda: world.pings("w3"), "w3 to answer again")


def case_a_guest_shuts_down_when_it_is_asked_to(world):
    world.ok("vm", "shutdown", "w3")
    equal((world.state("w3"), world.pings("w3")), ("Halted", False))
    equal(world.vm("w3")["snapshots"], [])
    world.fails("vm", "shutdown", "w3", say="w3 is Halted")
    row = world.rows("vm", "snapshot", "w3", "--name", "cold")[0]
    equal(world.rows("vm", "snapshots", "w3")[0]["kind"], "snapshot", row)


def case_a_disk_that_cannot_hold_a_snapshot_gets_one_that_says_so(world):
    world.define("raw", "raw")
    world.ok("vm", "start", "raw")
    row = world.rows("vm", "snapshot", "raw", "--name", "disks")[0]
    equal(row["outcome"], "done", row)
    listed = world.rows("vm", "snapshots", "raw")[0]
    equal((listed["kind"], listed["description"]), ("snapshot", "disks only: it cannot be reverted to"))
    world.fails("vm", "revert", "raw", "disks", "--yes", say="revert")
    world.ok("vm", "shutdown", "raw", "--force")


def case_guests_outlive_their_daemon_and_are_found_again(world):
    world.kill_daemon()
    done = world.run("vm", "list", "--json")
    equal((done.returncode, "this is how it was at" in done.stderr), (DONE, True), done.stderr)
    world.fails("vm", "pause", "w1", say="libvirt")
    equal(world.pings("w1"), True)
    world.start_daemon()
    equal((world.state("w1"), world.state("w2"), world.state("w3")), ("Running", "Running", "Halted"))


def case_what_the_driver_cannot_is_said(world):
    world.fails("vm", "migrate", "w1", "--to", "x", say="the driver libvirt cannot migrate: its pool is one host, there is nowhere to move to")
    world.fails("vm", "start", "w3", "--on", "x", say="the driver libvirt cannot start_on: its pool is one host: leave --on away")
    for words in (("host", "disable", "x"), ("pool", "eject", "x")):
        world.fails(*words, say="the driver libvirt cannot")


# ---- vitrine-poold: one session for all, and the watch ----

def case_the_daemon_sees_what_others_do_and_finds_libvirt_again(world):
    daemon = Daemon(world)
    try:
        equal(daemon.state("w1"), "Running")
        world.virsh("suspend", "w1")
        wait(lambda: daemon.state("w1") == "Paused", "what virsh did")
        equal(daemon.rows("vm", "unpause", "w1")[0]["outcome"], "done")
        equal(daemon.state("w1"), "Running")                      # what we did is seen at once
        world.kill_daemon()
        wait(lambda: daemon.run("pool", "status").returncode == FAILED, "that libvirt is away")
        world.start_daemon()
        wait(lambda: daemon.run("pool", "status").returncode == DONE, "libvirt's return")
        world.virsh("suspend", "w1")
        wait(lambda: daemon.state("w1") == "Paused", "what virsh did behind the reconnect")
        world.virsh("resume", "w1")
    finally:
        daemon.stop()


def case_one_cut_link_of_three_watched_guests_is_one_incident_with_one_snapshot(world):
    world.run("vm", "start", "w3")
    wait(lambda: world.pings("w3"), "w3 to answer")
    daemon = Daemon(world)
    try:
        for name, grace in (("w1", PATIENT), ("w2", "2s"), ("w3", "2s")):
            watch(daemon, name, grace)
        wait(lambda: answers(daemon) == list(GUESTS), "three guests that answer")
        booted = world.boots("w1")
        world.virsh("reboot", "w1")                               # somebody else reboots one: no incident
        wait(lambda: "w1" not in answers(daemon) or world.boots("w1") > booted, "w1's silence")
        daemon.rows("vm", "shutdown", "w3")                       # one is shut down on purpose: no incident
        world.virsh("domif-setlink", "w2", "vit2", "down")
        wait(lambda: [row for row in daemon.rows("watch", "timeline") if row["snapshot"]], "the snapshot")
        wait(lambda: world.boots("w1") > booted and "w1" in answers(daemon), "w1's return")
        incidents = daemon.rows("watch", "timeline")
        equal([(row["vm"], row["class"], row["closed"]) for row in incidents], [("w2", "network-lost", None)], incidents)
        snapshots = daemon.rows("vm", "snapshots")
        equal([(row["vm"], row["uuid"], row["kind"]) for row in snapshots if "netloss" in row["name"]],
              [("w2", incidents[0]["snapshot"], "checkpoint")], snapshots)
        equal([world.virsh("snapshot-list", name, "--name").split() for name in ("w1", "w2")], [[], [snapshot_of("w2", snapshots)]])
        goes_back_and_boots(world, daemon, snapshot_of("w2", snapshots))
        equal(len(daemon.rows("watch", "timeline")), 1)
    finally:
        daemon.stop()


def snapshot_of(name, snapshots):
    return next(row["name"] for row in snapshots if row["vm"] == name)


def goes_back_and_boots(world, daemon, name):
    equal(daemon.rows("vm", "revert", "w2", name, "--yes")[0]["outcome"], "done")
    wait(lambda: world.pings("w2"), "w2 to answer behind the way back")
    wait(lambda: all(row["closed"] for row in daemon.rows("watch", "timeline")), "the end of the incident")
    watch(daemon, "w2", PATIENT)
    booted = world.boots("w2")
    daemon.rows("vm", "reboot", "w2")
    wait(lambda: world.boots("w2") > booted, "w2's start from its disk")
    wait(lambda: world.pings("w2") and "w2" in answers(daemon), "w2 to answer behind its start")


def case_a_vm_is_destroyed_but_not_disks_that_nobody_manages(world):
    world.fails("vm", "destroy", "w3", "--yes", say="lies in no storage pool")
    equal(world.state("w3"), "Halted")
    world.ok("vm", "destroy", "w3", "--yes", "--keep-disks")
    world.fails("vm", "show", "w3", say="has no VM 'w3'")
    equal((world.folder / "w3.qcow2").exists(), True)


def prepare(folder):
    world = World(folder, GUESTS)
    for name in GUESTS:
        world.define(name)
    return world


if __name__ == "__main__":
    sys.exit(main(globals(), prepare))
