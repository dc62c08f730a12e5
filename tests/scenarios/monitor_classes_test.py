#!/usr/bin/python3
"""The network monitor against a simulated pool: each class of a loss, and what is no loss. What was done to the pool is asked with
Debian's XenAPI.py."""
import sys
import time

import cases
from cases import equal
from monitored import BOUND, FIELDS, Monitored, until


def case_a_lost_network_is_one_incident_and_one_snapshot(world):
    world.ok("watch", "add", "ws-0001", "ws-0002")
    equal({name: row["class"] for name, row in world.watched().items()}, {"ws-0001": "reachable", "ws-0002": "reachable"})
    begun = time.monotonic()
    world.ctl("cut-network", "ws-0001")
    world.until_incident("network-lost", "ws-0001")
    took = time.monotonic() - begun
    row = world.until_snapshot("ws-0001")
    equal(list(row), FIELDS)
    equal((row["class"], row["closed"]), ("network-lost", None))
    print(f"     classified after {took:.2f} s, the bound is {BOUND:.1f} s")
    snapshot = world.snapshots("ws-0001")[0]
    equal(snapshot["uuid"], row["snapshot"])
    config = until(lambda: "vitrine:expires" in world.snapshots("ws-0001")[0]["other_config"] and
                   world.snapshots("ws-0001")[0]["other_config"], "the marks")
    equal((config["vitrine:incident"], config["vitrine:name"]), (str(world.incident_id("ws-0001")), snapshot["name_label"]))
    equal(len(config["vitrine:owner"]) == 16 and config["vitrine:expires"] > row["opened"], True, config)
    evidence = world.show(world.incident_id("ws-0001"))["evidence"]
    equal([probe["end"] for probe in evidence["probes"]][-2:], ["silent", "silent"])
    equal((evidence["pool"]["power_state"], evidence["facts"]["host_answers"]), ("Running", 2))
    equal(len(world.snapshots("ws-0001")), 1)
    world.ctl("restore-network", "ws-0001")
    world.until_incident("network-lost", "ws-0001", open_=False)
    until(lambda: world.watched()["ws-0001"]["class"] == "reachable", "it is reachable")
    equal(len(world.snapshots("ws-0001")), 1)
    equal(len(world.timeline()), 1)


def case_a_refused_connection_is_a_service_that_is_down(world):
    world.ctl("stop-guest", "ws-0002")
    row = world.until_incident("service-down", "ws-0002")
    equal(row["snapshot"], None)
    world.ctl("start-guest", "ws-0002")
    world.until_incident("service-down", "ws-0002", open_=False)
    equal(world.snapshots("ws-0002"), [])


def case_shutting_down_rebooting_and_suspending_are_no_incidents(world):
    before = len(world.timeline())
    world.ok("watch", "add", "--all")
    names = world.running()
    world.ok("vm", "shutdown", names[3])
    world.until_class(names[3], "shut-down")
    world.ok("vm", "suspend", names[4])
    world.until_class(names[4], "suspended")
    world.ok("vm", "reboot", names[5])
    world.ok("vm", "migrate", names[6], "--to", "host-02" if names[6] not in world.running("host-02") else "host-03")
    world.ok("vm", "snapshot", names[7], "--name", "by hand")
    time.sleep(BOUND)
    world.ok("vm", "start", names[3])
    world.ok("vm", "resume", names[4])
    for name in names[3:8]:
        world.until_class(name, "reachable")
    equal(len(world.timeline()), before, world.timeline())
    equal([len(world.snapshots(name)) for name in names[3:8]], [0, 0, 0, 0, 1])


def case_a_guest_without_an_agent_cannot_be_judged_until_it_has_an_address(world):
    before = len(world.timeline())
    name = world.running()[2]
    address = world.watched()[name]["address"]
    world.ok("watch", "remove", "--all")
    world.ctl("guest-address", name, "none")
    until(lambda: world.vm(name)["addresses"] == [], "the picture knows no address")
    world.ok("watch", "add", name)
    row = world.until_class(name, "unmonitorable")
    equal((row["state"], row["reason"]), ("no-address", "no address is known: install the guest agent, or say --address"))
    world.ok("watch", "add", name, "--address", address)
    world.until_class(name, "reachable")
    world.ok("watch", "remove", name)
    world.ctl("guest-address", name, address)
    equal(len(world.timeline()), before)


def unmonitorable(world):
    key = 'vitrine_watched_vms{pool="MAIN",class="unmonitorable"}'
    return next(int(line.split()[1]) for line in world.ok("pool", "metrics").stdout.splitlines() if line.startswith(key))


def case_what_has_never_answered_is_told_and_is_no_incident(world):
    before, name = len(world.timeline()), world.rows("vm", "list", "--state", "halted")[0]["name"]
    world.ok("vm", "start", name)
    world.ctl("stop-guest", name)                 # as with a wrong port, from the beginning
    until(lambda: world.vm(name)["addresses"], "its address")
    done = world.ok("watch", "add", "--all")
    equal(("VMS" in done.stdout, "1 cannot be judged: 'vitrine watch list --class unmonitorable'" in done.stderr), (True, True), done.stderr)
    row = until(lambda: next((r for r in world.rows("watch", "list", "--class", "unmonitorable") if "never" in r["reason"]), None), "its reason")
    equal((row["vm"], row["state"], row["reason"]), (name, "refused", "it has never answered: check --address, --port and --probe of its watch"))
    equal((world.rows("watch", "list")[0]["vm"], unmonitorable(world)), (name, 1))
    world.ctl("start-guest", name)
    world.until_class(name, "reachable")
    equal(unmonitorable(world), 0)
    world.ok("watch", "remove", "--all")
    world.ok("vm", "shutdown", name, "--force")
    equal(len(world.timeline()), before)


def case_an_address_that_changes_is_followed_without_an_incident(world):
    before = len(world.timeline())
    name, other = world.running()[2], world.running()[3]
    world.ok("watch", "add", name, "--interval", "0.3")
    old = world.watched()[name]["address"]
    theirs = next(row["addresses"][0] for row in world.rows("vm", "list", other))
    world.ctl("cut-network", name)               # the old address is silent from now on ...
    world.ctl("guest-address", name, theirs)     # ... and the agent tells of a new one, that answers
    until(lambda: world.watched()[name]["address"] == theirs, "the new address")
    world.until_class(name, "reachable")
    time.sleep(BOUND)
    equal(len(world.timeline()), before, world.timeline())
    world.ctl("restore-network", name)
    world.ctl("guest-address", name, old)
    until(lambda: world.watched()[name]["address"] == old, "the old address again")
    world.ok("watch", "remove", name)


def case_many_on_one_network_are_one_incident_without_snapshots(world):
    world.ok("watch", "add", "--all")
    names = world.running()
    until(lambda: all(world.watched()[name]["class"] == "reachable" for name in names), "all answer")
    lost = names[:6]
    for name in lost:
        world.ctl("cut-network", name)
    row = until(lambda: next((r for r in world.timeline("--open") if r["class"] == "link-lost" and sorted(r["vms"]) == lost), None),
                "one incident with six VMs")
    equal((row["vm"], row["snapshot"]), (None, None))
    equal([r["class"] for r in world.timeline("--open")], ["link-lost"])
    for name in lost:
        world.ctl("restore-network", name)
    world.until_incident("link-lost", open_=False)
    equal([r["class"] for r in world.timeline("--open")], [])
    equal([len(world.snapshots(name)) for name in lost[1:4]], [0, 0, 0])


def case_a_carrier_that_is_down_names_the_link(world):
    world.ok("watch", "remove", "--all")
    name = world.running("host-02")[0]
    world.ok("watch", "add", name)
    world.until_class(name, "reachable")
    world.ctl("carrier", "host-02", "down")
    world.ctl("cut-network", name)
    row = world.until_incident("link-lost", name)
    equal(row["reason"], "the host's interface has no carrier")
    equal(len(world.snapshots(name)), 0)
    world.ctl("carrier", "host-02", "up")
    world.ctl("restore-network", name)
    world.until_incident("link-lost", name, open_=False)
    world.ok("watch", "remove", name)


def case_a_crashed_host_takes_its_vms_into_one_incident(world):
    world.ok("watch", "add", "--all")
    there = world.running("host-03")
    until(lambda: all(world.watched()[name]["class"] == "reachable" for name in world.running()), "all answer")
    world.ctl("fail-host", "host-03")
    row = until(lambda: next((r for r in world.timeline("--open") if r["class"] == "host-lost" and sorted(r["vms"]) == sorted(there)), None),
                "one incident with the host's VMs")
    equal(row["snapshot"], None)
    equal([r["class"] for r in world.timeline("--open")], ["host-lost"])
    world.ctl("restore-host", "host-03")


if __name__ == "__main__":
    sys.exit(cases.main(globals(), Monitored))
