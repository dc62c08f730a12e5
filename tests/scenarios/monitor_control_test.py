#!/usr/bin/python3
"""The network monitor when it is not the VM: the pool is away while VMs are fine and the other way round, the master dies during an
incident, our own network is lost, clocks jump. Classes and actions, against a simulated pool."""
import os
import socket
import subprocess
import sys
import time

import cases
from cases import equal
from monitored import BOUND, Monitored, until
from pool_cli_test import VITRINE
from simulator import free_port

CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
/* The wall clock, moved by so many seconds as a file says; the monotonic one stays. */
int clock_gettime(clockid_t clock, struct timespec *out)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(clock, out);
    if (clock == CLOCK_REALTIME) {
        FILE *file = fopen(getenv("CLOCK_FILE"), "r");
        long seconds = 0;
        if (file && fscanf(file, "%ld", &seconds) == 1)
            out->tv_sec += seconds;
        if (file)
            fclose(file);
    }
    return status;
}
"""


class Anchor:
    """Something that answers beside the pool, until it is cut: its backlog is full, and connects time out."""

    def __init__(self):
        self.socket, self.fillers = None, []
        self.port = free_port()
        self.open()

    def open(self):
        self.close()
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("127.0.0.9", self.port))
        self.socket.listen(4096)

    def cut(self):
        self.close()
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("127.0.0.9", self.port))
        self.socket.listen(0)
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.9", self.port))
            self.fillers.append(filler)

    def close(self):
        for s in [*self.fillers, *([self.socket] if self.socket else [])]:
            s.close()
        self.socket, self.fillers = None, []


def case_our_own_network_is_no_loss_of_a_vm(world):
    anchor = Anchor()
    equal(world.end(), 0)
    world.begin("-o", f"watch.anchors=127.0.0.9:{anchor.port}")
    name = world.running()[0]
    world.ok("watch", "add", name)
    world.until_class(name, "reachable")
    anchor.cut()
    world.until_incident("monitor-isolated")
    world.ctl("cut-network", name)
    row = world.until_incident("monitor-isolated", name)
    time.sleep(BOUND)
    equal([r["class"] for r in world.timeline()], ["monitor-isolated"])
    equal((row["snapshot"], world.snapshots(name)), (None, []))
    anchor.open()                          # the anchor answers, the VM still does not: now it is the VM
    world.until_incident("monitor-isolated", open_=False)
    world.until_incident("network-lost", name)
    world.until_snapshot(name)
    equal(len(world.snapshots(name)), 1)
    anchor.close()


def case_a_clock_that_jumps_is_told_and_nothing_else_happens(world):
    if subprocess.run(["sh", "-c", "command -v cc"], capture_output=True, check=False).returncode != 0:
        print("     no C compiler: left out")
        return
    world.forget()
    equal(world.end(), 0)
    before = len(world_timeline_file(world))
    source, library, moved = world.folder / "clock.c", world.folder / "clock.so", world.folder / "clock"
    source.write_text(CLOCK)
    moved.write_text("0")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    os.environ["CLOCK_FILE"] = str(moved)
    os.environ["LD_PRELOAD"] = str(library)
    try:
        world.begin("-o", "watch.expire=1d", "-o", "watch.repeat=0")
    finally:
        del os.environ["LD_PRELOAD"]
    name = world.running()[1]
    world.ok("watch", "add", name)
    world.ctl("cut-network", name)
    world.until_snapshot(name)
    world.ctl("restore-network", name)
    world.until_incident("network-lost", name, open_=False)
    moved.write_text(str(400 * 86400))     # more than a year: every snapshot would be expired
    until(lambda: "monitor.clock-jump" in world.log(), "the jump is told")
    world.ctl("clock", "host-01", "-86400")
    time.sleep(BOUND + 6)
    equal(world.watched()[name]["class"], "reachable")
    equal(len(world.snapshots(name)), 1, "nothing expires behind a jump")
    equal(len(world.timeline()), before + 1)
    equal(world.end(), 0)
    world.begin()


def world_timeline_file(world):
    """The incidents while no daemon runs."""
    import sqlite3
    with sqlite3.connect(f"file:{world.folder}/state/monitor.db?mode=ro", uri=True) as db:
        return db.execute("SELECT id FROM incident").fetchall()


def case_the_master_dies_during_an_incident_which_goes_on(world):
    world.forget()
    equal(world.end(), 0)
    world.begin("-o", "watch.repeat=0")
    name = world.running("host-02")[0]
    before = len(world.snapshots(name))
    world.ok("watch", "add", name)
    world.ctl("cut-network", name)
    row = world.until_snapshot(name)
    equal(len(world.snapshots(name)), before + 1)
    world.ctl("kill-master")
    world.until_incident("control-lost", seconds=60)
    still = next(r for r in world.timeline("--open") if r["class"] == "network-lost")
    equal((still["snapshot"], still["opened"]), (row["snapshot"], row["opened"]))


def case_while_the_pool_is_away_no_loss_is_judged_and_nothing_is_taken(world):
    other = next(vm for vm in world.rows("vm", "list", "--state", "running") if vm["host"] == "host-03")["name"]
    world.ok("watch", "add", other)        # the picture is old, the VM answers
    world.until_class(other, "reachable")
    equal([r for r in world.timeline("--open") if other in r.get("vms", [])], [])
    world.ctl("cut-network", other)
    row = world.until_incident("control-lost", other)
    equal(row["snapshot"], None)
    time.sleep(BOUND)
    equal([r["class"] for r in world.timeline("--open")], ["network-lost", "control-lost"])


def case_when_the_pool_is_back_the_loss_gets_its_class_and_its_snapshot(world):
    other = next(r for r in world.timeline("--open") if r["class"] == "control-lost")["vms"][0]
    world.ctl("restore-host", "host-01")
    world.until_incident("control-lost", open_=False, seconds=90)
    world.until_incident("network-lost", other)
    world.until_snapshot(other)
    for row in world.timeline("--open"):
        equal(len(world.show(world.incident_id(row["vm"]))["snapshots"]), 1, "one snapshot an incident")
    equal(len(world.timeline("--open")), 2)


def promote(world, host):
    """As somebody does who knows that the old master is off: without the daemon, which has no master to ask."""
    done = subprocess.run([VITRINE, "-c", world.daemon_conf, "-o", "pool.socket=none", "pool", "emergency", "promote", host, "--confirm",
                           "the old master is off"], capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
                          env={**os.environ, "VITRINE_CONF": ""})
    equal(done.returncode, 0, done.stdout + done.stderr)


def case_a_new_master_takes_over_and_the_incident_goes_on(world):
    world.forget()
    equal(world.end(), 0)
    world.begin("-o", "watch.repeat=0")
    lost, later = world.running("host-03")[:2]
    world.ok("watch", "add", lost, later)
    world.until_class(later, "reachable")
    before, begun = len(world.timeline()), len(world.snapshots(lost))
    world.ctl("cut-network", lost)
    row = world.until_snapshot(lost)
    world.ctl("kill-master")
    world.until_incident("control-lost", seconds=60)
    promote(world, "host-02")
    world.until_incident("control-lost", open_=False, seconds=90)
    world.ctl("cut-network", later)                 # under the new master all is as before
    taken = world.until_snapshot(later, 60)
    rows = {r["vm"]: r for r in world.timeline()[before:] if r["class"] == "network-lost"}
    equal((rows[lost]["snapshot"], rows[lost]["closed"], rows[later]["snapshot"]), (row["snapshot"], None, taken["snapshot"]), rows)
    equal(sorted(rows), sorted([lost, later]), rows)
    equal([r["class"] for r in world.timeline("--open")], ["network-lost", "network-lost"])
    world.master = 1
    equal(len(world.snapshots(lost)), begun + 1, "one snapshot of the first")


if __name__ == "__main__":
    sys.exit(cases.main(globals(), Monitored))
