#!/usr/bin/python3
"""What may go wrong between us and a pool, at every place where it may: the session dies at the first, second, third ... request of a
command; the master dies at each of them; two masters claim the pool; clocks jump; answers are slow, cut, huge, nested, of the wrong type,
with fields missing and words that nobody knows; TLS is none. Each time: a clear end, and nothing is done twice. What was done is asked
with Debian's XenAPI.py."""
import json
import subprocess
import sys
import time

import cases
from cases import equal
from pool_cli_test import DONE, FAILED, HOSTS, VMS, World
from simulator import BIN as SIMULATOR

REQUESTS_MAX = 40
SPOILT = ["status", "html", "garbage", "cut", "short", "deep", "huge", "types", "fault"]


def left(world):
    """How many requests are still to come until the fault."""
    done = subprocess.run([SIMULATOR, "ctl", "--port", str(world.port), "after-left"], check=True, capture_output=True, text=True)
    return int(done.stdout.splitlines()[-1])


def snapshots_of(world, name):
    session = world.foreign()
    vm = session.xenapi.VM.get_by_name_label(name)[0]
    names = [session.xenapi.VM.get_name_label(s) for s in session.xenapi.VM.get_snapshots(vm)]
    session.xenapi.session.logout()
    return names


def wait(condition, what):
    end = time.monotonic() + 30
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within 30 s")
        time.sleep(0.05)


def disarm(world):
    """The next request sets off a fault that is none."""
    world.ctl("after", "1", "delay", "0")
    world.run("pool", "status")


def each_request(world, fault, *words, step=1):
    """Runs the command once for every request that it sends (every third with step 3), with the fault at that request."""
    for n in range(1, REQUESTS_MAX, step):
        world.ctl("after", str(n), *fault)
        done = world.run(*(str(n) if word == "{n}" else word for word in words))
        over = left(world) > 0
        disarm(world)
        yield n, done
        if over:
            return
    raise AssertionError(f"more than {REQUESTS_MAX} requests")


# ---- the session ----

def case_a_session_that_dies_at_any_request_of_a_list_is_not_noticed(world):
    before = world.rows("vm", "list")
    for n, done in each_request(world, ["expire-sessions"], "vm", "list", "--json"):
        equal((done.returncode, [json.loads(line) for line in done.stdout.splitlines()]), (DONE, before), f"request {n}: {done.stderr}")


def case_a_session_that_dies_at_any_request_of_a_verb_repeats_nothing(world):
    tried = 0
    for n, done in each_request(world, ["expire-sessions"], "vm", "snapshot", "ws-0001", "--name", "{n}"):
        names = snapshots_of(world, "ws-0001")
        equal(names.count(str(n)) <= 1, True, names)
        if done.returncode == DONE:
            equal(names.count(str(n)), 1, f"request {n}: {done.stderr}")
        tried = n
    equal(tried > 5, True, tried)
    world.ok("vm", "snapshot-delete", "ws-0001", *snapshots_of(world, "ws-0001"))


def case_a_session_that_dies_at_any_request_of_a_move_leaves_the_vm_where_it_says(world):
    target = "host-02"
    for n, done in each_request(world, ["expire-sessions"], "vm", "migrate", "ws-0001", "--to", target, step=3):
        equal(done.returncode in (DONE, FAILED), True, f"request {n}: {done.stderr}")
        if done.returncode == DONE:
            equal(world.vm("ws-0001")["host"], target, f"request {n}: {done.stdout} {done.stderr}")
        world.run("vm", "migrate", "ws-0001", "--to", "host-01")
        wait(lambda: world.vm("ws-0001")["host"] == "host-01", "the way back")


# ---- the master ----

def case_a_master_that_dies_at_any_request_of_a_verb_leaves_at_most_one_snapshot(world):
    last = 0
    for n in range(1, REQUESTS_MAX):
        world.anew()
        world.ok("vm", "list")
        world.ctl("after", str(n), "kill-master")
        done = world.run("vm", "snapshot", "ws-0001", "--name", "s", "--json")
        over = left(world) > 0
        disarm(world)
        if not over:
            equal(done.returncode in (DONE, FAILED), True, done.stderr)
            world.ctl("restore-host", "host-01")
            wait(lambda: world.run("pool", "status").returncode == DONE, "the master's return")
        names = snapshots_of(world, "ws-0001")
        equal(len(names) <= 1, True, f"request {n}: {names}")
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        if rows and rows[0]["outcome"] == "done":
            equal(names, ["s"], f"request {n}")
        if rows and rows[0]["outcome"] == "failed":
            equal(names, [], f"request {n}: {rows}")
        last = n
        if over:
            break
    equal(last > 5, True, last)
    world.anew()


def case_two_masters_are_told_apart(world):
    world.ok("vm", "list")
    world.ctl("claim-master", "host-02", "on")
    equal({row["name"]: row["state"] for row in world.rows("pool", "emergency")},
          {"host-01": "master", "host-02": "master", "host-03": "member"})
    equal("TWO MASTERS" in world.ok("pool", "emergency").stdout, True)
    world.fails(FAILED, "pool", "emergency", "promote", "host-03", "--confirm", "the old master is off", say="would destroy data")
    equal(world.rows("pool", "status")[0]["address"], "127.0.0.1")     # the one that was known goes on
    world.ctl("claim-master", "host-02", "off")


def case_a_member_is_told_by_hand_whom_to_follow(world):
    world.anew()
    world.ok("vm", "list")
    world.ctl("kill-master")

    def states():
        return {row["name"]: row["state"] for row in world.rows("pool", "emergency")}
    wait(lambda: states() == {"host-01": "silent", "host-02": "emergency", "host-03": "emergency"}, "the emergency")
    world.ok("pool", "emergency", "promote", "host-02", "--confirm", "the old master is off")
    world.fails(FAILED, "pool", "emergency", "follow", "host-03", "127.0.0.2", say="nothing was done")
    equal(world.ok("pool", "emergency", "follow", "host-03", "127.0.0.2", "--confirm", "host-03").stdout, "host-03: follows 127.0.0.2\n")
    wait(lambda: states() == {"host-01": "silent", "host-02": "master", "host-03": "member"}, "the member's return")
    lines = (world.folder / "state" / "emergency.log").read_text().splitlines()
    equal(lines[-1].split()[2:4], ["follow", "host=host-03"], lines)


# ---- hosts that go on purpose ----

def case_hosts_are_rebooted_and_shut_down_without_a_vm_lost(world):
    world.anew()
    running = {vm["name"] for vm in world.rows("vm", "list", "--state", "running")}
    done = world.ok("host", "reboot", "host-02", "--yes")
    equal(done.stdout, "host-02: disabled\nhost-02: evacuated\nhost-02: rebooted\n")
    wait(lambda: {h["name"]: h["live"] for h in world.rows("host", "list")}["host-02"], "the host's return")
    world.ok("host", "enable", "host-02")
    equal(world.ok("host", "shutdown", "host-03", "--confirm", "host-03").stdout.splitlines()[-1], "host-03: shut down")
    wait(lambda: not {h["name"]: h["live"] for h in world.rows("host", "list")}["host-03"], "the host's end")
    equal({vm["name"] for vm in world.rows("vm", "list", "--state", "running")}, running)
    equal({vm["host"] for vm in world.rows("vm", "list", "--state", "running")} <= {"host-01", "host-02"}, True)
    world.anew()


# ---- clocks ----

def case_clocks_that_jump_disturb_no_verb(world):
    for seconds in ("-86400000", "90000000", "0"):
        for host in ("host-01", "host-02", "host-03"):
            world.ctl("clock", host, seconds)
        world.ok("vm", "suspend", "ws-0001")
        world.ok("vm", "resume", "ws-0001")
        equal(len(world.rows("vm", "list")), VMS)


# ---- answers ----

def case_a_slow_server_is_waited_for(world):
    world.ctl("delay", "300")
    world.ok("vm", "snapshot", "ws-0001", "--name", "slow")
    world.ctl("delay", "0")
    equal(snapshots_of(world, "ws-0001"), ["slow"])
    world.ok("vm", "snapshot-delete", "ws-0001", "slow")


def case_no_spoilt_answer_is_believed_or_answered_by_a_second_snapshot(world):
    for kind in SPOILT:
        for n in (1, 6, 9):
            world.ctl("after", str(n), "spoil", kind, "1")
            done = world.run("vm", "snapshot", "ws-0001", "--name", "once", "--json")
            world.ctl("after", "1", "spoil", kind, "0")
            world.ok("pool", "status")
            equal(done.returncode in (DONE, FAILED), True, f"{kind} {n}: {done.stderr}")
            names = snapshots_of(world, "ws-0001")
            rows = [json.loads(line) for line in done.stdout.splitlines()]
            equal(len(names) <= 1, True, f"{kind} {n}: {names}")
            if rows and rows[0]["outcome"] == "done":
                equal(names, ["once"], f"{kind} {n}")
            if names:
                world.ok("vm", "snapshot-delete", "ws-0001", "once")


def case_fields_that_a_server_does_not_have_are_empty(world):
    world.anew()
    for field in ("VM.tags", "VM.current_operations", "VM.snapshots", "VM.guest_metrics", "VM.resident_on", "host.software_version",
                  "host.metrics", "SR.PBDs", "SR.physical_size", "pool.master", "pool.default_SR", "VM.allowed_operations"):
        world.ctl("hide-field", field)
        for words in (("vm", "list"), ("host", "list"), ("sr", "list"), ("pool", "status")):
            world.ok(*words)
    equal(len(world.rows("vm", "list")), VMS)
    world.anew()


def case_words_that_nobody_knows_are_shown_and_not_acted_on(world):
    world.ctl("set", "VM.power_state", "ws-0002", "Levitating")
    equal(world.state("ws-0002"), "Levitating")
    for verb in ("start", "suspend", "resume", "pause", "reboot"):
        world.fails(FAILED, "vm", verb, "ws-0002", say="ws-0002")
    equal(world.state("ws-0002"), "Levitating")
    world.anew()


# ---- TLS ----

def case_a_server_without_tls_gets_no_password(world):
    world.stop()
    process = subprocess.Popen([SIMULATOR, "--port", str(world.port), "--hosts", str(HOSTS), "--guest-port", "0"],
                               stderr=subprocess.PIPE, text=True)
    equal("ready" in process.stderr.readline(), True)
    try:
        world.fails(FAILED, "vm", "start", "ws-0003", say="127.0.0.1")
    finally:
        process.terminate()
        process.wait(20)
        process.stderr.close()
        world.start()
    world.anew()


def prepare(folder):
    world = World(folder)
    world.ok("vm", "list")
    return world


if __name__ == "__main__":
    sys.exit(cases.main(globals(), prepare))
