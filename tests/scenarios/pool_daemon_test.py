#!/usr/bin/python3
"""The commands through vitrine-poold against a simulated pool over TLS with a pinned certificate: the very cases that hold for the
command line alone (pool_cli_test.py), with a command line that has no password; so each verb, dry run, refusal, question, progress and
exit status is the same."""
import sys
import time

import cases
import poold
import pool_cli_test
from cases import equal
from poold import until

# What is about the command line's own session and configuration, or takes a world for each rule.
DIRECT = {"the_first_use_learns_the_keys_and_says_so_once", "wrong_configuration_is_said_in_one_sentence",
          "another_certificate_is_refused_until_it_is_trusted", "a_configured_fingerprint_must_be_the_hosts",
          "the_address_of_a_slave_leads_to_the_master", "every_rule_that_the_simulator_breaks_is_seen_beforehand",
          "a_pool_is_created_from_single_hosts", "the_last_picture_is_shown_when_no_master_answers",
          "a_member_becomes_the_master_and_the_others_follow"}


def case_another_certificate_keeps_the_pool_away_until_it_is_trusted(world):
    world.stop()
    world.start(seed="1")   # the same pool, with keys of its own
    until(lambda: "certificate" in world.status()["MAIN"]["reason"], "the daemon sees another certificate", 60)
    world.fails(1, "pool", "status", say="certificate")
    world.ok("pool", "status", "--trust", "127.0.0.1")
    equal(len(world.rows("vm", "list")), pool_cli_test.VMS)


def case_the_last_picture_is_shown_when_no_master_answers(world):
    world.anew()
    before = world.rows("vm", "list")
    world.ctl("kill-master")
    until(lambda: not world.answers(), "the daemon sees that the master is gone")
    done = world.ok("vm", "list", "--json")
    equal([row for row in map(pool_cli_test.json.loads, done.stdout.splitlines())], before)
    equal("this is how it was at" in done.stderr, True, done.stderr)
    world.fails(1, "pool", "status", say="no master answers")
    world.fails(1, "vm", "start", before[0]["name"], say="the pool does not answer")
    end = time.monotonic() + poold.WAIT
    while [row["state"] for row in pool_cli_test.members(world).values()].count("emergency") < 2 and time.monotonic() < end:
        time.sleep(0.1)


def case_a_member_is_promoted_through_the_daemon_and_the_daemon_follows(world):
    dead = [vm["name"] for vm in world.rows("vm", "list") if vm["host"] == "host-01"]
    world.fails(1, "pool", "emergency", "promote", "host-02", say="DESTROY DATA: nothing was done")
    done = world.ok("pool", "emergency", "promote", "host-02", "--confirm", "the old master is off")
    equal("host-03: follows 127.0.0.2" in done.stdout, True, done.stdout)
    until(world.answers, "the daemon finds the new master", 60)
    equal(world.rows("pool", "status")[0]["address"], "127.0.0.2")
    world.ok("pool", "emergency", "declare-dead", "host-01", "--confirm", "host-01")
    until(lambda: {world.state(name) for name in dead} == {"Halted"}, "the dead host's VMs are halted")
    world.ok("vm", "start", *dead)
    lines = (world.folder / "state" / "emergency.log").read_text().splitlines()
    equal([line.split()[1:3] for line in lines], [["root", "promote"], ["root", "declare-dead"]], lines)


def both():
    """Our own cases behind those of the command line."""
    shared = {name: f for name, f in vars(pool_cli_test).items() if name.startswith("case_") and name[5:] not in DIRECT}
    return {**shared, **globals()}


if __name__ == "__main__":
    sys.exit(cases.main(both(), poold.Daemon, user="none"))
