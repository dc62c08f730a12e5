#!/usr/bin/python3
"""The command line against a simulated pool, over TLS with keys learnt at first use: every verb end to end, dry runs, refusals before
anything is sent, the pool's own refusals as sentences, redirects, failures of the master, joining and leaving. What the pool looks like
behind a verb is asked with Debian's XenAPI.py, not with our own client."""
import hashlib
import json
import os
import pathlib
import ssl
import subprocess
import sys
import time
import xmlrpc.client

import cases
from cases import equal
from simulator import BIN as SIMULATOR, XenAPI, free_port

HOSTS, VMS = 3, 12
DONE, FAILED, USAGE = 0, 1, 2
VITRINE = SIMULATOR.parent / "vitrine"


class World:
    """A simulator with TLS, a folder for the state, and vitrine called in several ways."""

    master = 0      # the host that the foreign client asks

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.port = free_port()
        self.password = self.folder / "password"
        self.password.write_text("vitrine\n")
        self.password.chmod(0o600)
        self.conf = self.folder / "vitrine.conf"
        self.conf.write_text(f'[pool "MAIN"]\nurl = https://127.0.0.1:{self.port}\nuser = root\n'
                             f"password_file = {self.password}\nstate = {self.folder}/state\n")
        self.process = None
        self.start()

    def start(self, seed="1"):
        self.process = subprocess.Popen([SIMULATOR, "--port", str(self.port), "--hosts", str(HOSTS), "--spares", "1", "--vms",
                                         str(VMS), "--guest-port", "0", "--pace", "0.05", "--tls", "--seed", seed],
                                        stderr=subprocess.PIPE, text=True)
        if "ready" not in self.process.stderr.readline():
            raise RuntimeError("the simulator did not start")

    def stop(self):
        self.process.terminate()
        equal(self.process.wait(20), 0, "the simulator's end")
        self.process.stderr.close()

    def close(self):
        self.stop()

    def anew(self, seed="1"):
        """Another world: other keys, nothing remembered."""
        self.stop()
        for name in ("members.json", "picture.json"):
            (self.folder / "state" / name).unlink(missing_ok=True)
        self.start(seed)

    def ctl(self, *words):
        subprocess.run([SIMULATOR, "ctl", "--port", str(self.port), *words], check=True, capture_output=True, text=True)

    def run(self, *words, **more):
        return subprocess.run([VITRINE, "-c", self.conf, *words], capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL, env={**os.environ, "VITRINE_CONF": ""}, check=False, **more)

    def ok(self, *words):
        done = self.run(*words)
        equal(done.returncode, DONE, f"{words}: {done.stdout} {done.stderr}")
        return done

    def rows(self, *words):
        return [json.loads(line) for line in self.ok(*words, "--json").stdout.splitlines()]

    def fails(self, status, *words, say=""):
        done = self.run(*words)
        equal(done.returncode, status, f"{words}: {done.stdout} {done.stderr}")
        if say not in done.stderr:
            raise AssertionError(f"{words}: '{say}' is not in: {done.stderr}")
        return done

    def settle(self):
        """Behind a change that somebody else made: the command line looks anew each time."""

    def vm(self, name):
        return next(row for row in self.rows("vm", "list", name))

    def state(self, name):
        return self.vm(name)["power_state"]

    def foreign(self):
        """The same pool as Debian's client sees it."""
        context = ssl._create_unverified_context()
        transport = xmlrpc.client.SafeTransport(context=context)
        session = XenAPI.Session(f"https://127.0.0.{1 + self.master}:{self.port}", transport)
        session.login_with_password("root", "vitrine", "2.21", "foreign")
        return session


# ---- configuration and trust ----

def case_the_first_use_learns_the_keys_and_says_so_once(world):
    first = world.ok("vm", "list")
    if "learnt" not in first.stderr or "sha256//" not in first.stderr:
        raise AssertionError(first.stderr)
    equal(world.ok("vm", "list").stderr, "")
    members = json.loads((world.folder / "state" / "members.json").read_text())
    equal(len(members["members"]), HOSTS)
    equal(all(m["pin"].startswith("sha256//") for m in members["members"]), True, members)
    equal((world.folder / "state" / "members.json").stat().st_mode & 0o777, 0o600)


def case_wrong_configuration_is_said_in_one_sentence(world):
    none = subprocess.run([VITRINE, "vm", "list"], capture_output=True, text=True, env={**os.environ, "VITRINE_CONF": ""}, check=False)
    equal(none.returncode, USAGE)
    equal("no pool is configured" in none.stderr, True, none.stderr)
    world.password.chmod(0o644)
    world.fails(USAGE, "vm", "list", say="chmod 600")
    world.password.chmod(0o600)
    world.fails(USAGE, "vm", "list", "--pool", "OTHER", say='no pool "OTHER"')
    bad = world.folder / "bad"
    bad.write_text("wrong")
    bad.chmod(0o600)
    world.fails(FAILED, "vm", "list", "-o", f"pool.password_file={bad}", say="check pool.user and pool.password_file")
    world.fails(FAILED, "vm", "list", "-o", "pool.url=https://127.0.0.77:1", "-o", f"pool.state={world.folder}/elsewhere", say="no member")


def case_another_certificate_is_refused_until_it_is_trusted(world):
    world.stop()
    world.start(seed="1")   # the same pool, with keys of its own
    world.fails(FAILED, "vm", "list", say="--trust")
    world.ok("pool", "status", "--trust", "127.0.0.1")
    equal(len(world.rows("vm", "list")), VMS)
    world.anew()


def case_a_configured_fingerprint_must_be_the_hosts(world):
    (world.folder / "state" / "members.json").unlink(missing_ok=True)
    world.fails(FAILED, "vm", "list", "-o", "pool.fingerprint=" + "00" * 32, say="another certificate")
    pem = ssl.get_server_certificate(("127.0.0.1", world.port))
    print_of = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    world.ok("vm", "list", "-o", f"pool.fingerprint={print_of}")


def case_the_address_of_a_slave_leads_to_the_master(world):
    done = world.ok("pool", "status", "--json", "-o", f"pool.url=https://127.0.0.2:{world.port}", "-o", f"pool.state={world.folder}/slave")
    equal(json.loads(done.stdout)["address"], "127.0.0.1")


# ---- lists ----

def case_vm_list_has_exactly_the_fields_of_the_contract(world):
    rows = world.rows("vm", "list")
    equal(len(rows), VMS)
    equal([list(row) for row in rows], [["name", "uuid", "host", "power_state", "addresses", "snapshots"]] * VMS)
    running = [row for row in rows if row["power_state"] == "Running"]
    equal(len(running), VMS * 2 // 3)
    for row in rows:
        equal((row["host"] is not None, len(row["addresses"]) > 0), (row in running, row in running), row)


def case_lists_agree_with_the_foreign_client(world):
    session = world.foreign()
    theirs = {r["uuid"]: r for r in session.xenapi.VM.get_all_records().values()
              if not (r["is_a_template"] or r["is_a_snapshot"] or r["is_control_domain"])}
    ours = {row["uuid"]: row for row in world.rows("vm", "list")}
    equal(sorted(ours), sorted(theirs))
    for uuid, row in ours.items():
        equal((row["name"], row["power_state"]), (theirs[uuid]["name_label"], theirs[uuid]["power_state"]))
        if row["host"]:
            equal(session.xenapi.host.get_name_label(theirs[uuid]["resident_on"]), row["host"])
    hosts = {r["name_label"] for r in session.xenapi.host.get_all_records().values()}
    equal({row["name"] for row in world.rows("host", "list")}, hosts)
    srs = {r["name_label"] for r in session.xenapi.SR.get_all_records().values()}
    equal({row["name"] for row in world.rows("sr", "list")}, srs)
    session.xenapi.session.logout()


def case_filters_choose_by_host_state_pattern_tag_and_network(world):
    rows = world.rows("vm", "list")
    host = next(row["host"] for row in rows if row["host"])
    equal(world.rows("vm", "list", "--host", host), [row for row in rows if row["host"] == host])
    equal(world.rows("vm", "list", "--state", "halted"), [row for row in rows if row["power_state"] == "Halted"])
    equal([row["name"] for row in world.rows("vm", "list", "WS-000?")], [f"ws-{i:04}" for i in range(1, 10)])
    equal(world.rows("vm", "list", "--network", "off"), world.rows("vm", "list", "--state", "halted"))
    session = world.foreign()
    session.xenapi.VM.set_tags(session.xenapi.VM.get_by_name_label("ws-0002")[0], ["imaging"])
    world.settle()
    equal([row["name"] for row in world.rows("vm", "list", "--tag", "imaging")], ["ws-0002"])
    world.fails(USAGE, "vm", "list", "--state", "asleep", say="none of running")
    world.fails(FAILED, "vm", "list", "nobody", say="has no VM 'nobody'")
    world.fails(FAILED, "vm", "list", "--host", "nowhere", say="has no host 'nowhere'")


def case_show_tells_of_one_object(world):
    vm = world.rows("vm", "show", "ws-0001")[0]
    equal((vm["network"], vm["vcpus"] > 0, vm["vifs"][0]["attached"]), ("up", True, True), vm)
    host = world.rows("host", "show", "host-02")[0]
    equal((host["role"], host["interfaces"][0]["management"]), ("member", True))
    sr = world.rows("sr", "show", "Shared storage")[0]
    equal((sr["plugged"], len(sr["hosts"]), sr["default"]), ("3/3", HOSTS, True), sr)
    status = world.rows("pool", "status")[0]
    equal((status["hosts"], status["vms"], status["answers"]), (HOSTS, VMS, True))


# ---- verbs ----

def case_each_verb_leads_to_its_state(world):
    halted = world.rows("vm", "list", "--state", "halted")[0]["name"]
    for words, state in ((("start",), "Running"), (("pause",), "Paused"), (("unpause",), "Running"), (("suspend",), "Suspended"),
                         (("resume",), "Running"), (("reboot",), "Running"), (("reboot", "--force"), "Running"),
                         (("shutdown",), "Halted"), (("start", "--on", "host-02"), "Running"), (("suspend",), "Suspended"),
                         (("resume", "--on", "host-03"), "Running"), (("migrate", "--to", "host-01"), "Running"),
                         (("shutdown", "--force"), "Halted")):
        done = world.ok("vm", words[0], halted, *words[1:])
        equal(done.stdout.startswith(f"{halted}: "), True, done.stdout)
        equal(world.state(halted), state, words)
    world.ok("vm", "start", halted, "--on", "host-02")
    equal(world.vm(halted)["host"], "host-02")
    world.ok("vm", "migrate", halted, "--to", "host-03")
    equal(world.vm(halted)["host"], "host-03")
    world.ok("vm", "shutdown", halted)


def case_snapshots_are_taken_reverted_to_and_deleted(world):
    row = world.rows("vm", "snapshot", "ws-0001", "--name", "before")[0]
    equal((row["outcome"], world.vm("ws-0001")["snapshots"]), ("done", [row["uuid"]]))
    world.ok("vm", "checkpoint", "ws-0001", "--name", "with memory")
    kinds = {s["name"]: s["kind"] for s in world.rows("vm", "snapshots", "ws-0001")}
    equal(kinds, {"before": "snapshot", "with memory": "checkpoint"})
    world.fails(FAILED, "vm", "revert", "ws-0001", "before", say="--yes")
    world.ok("vm", "revert", "ws-0001", "before", "--yes")
    equal(world.state("ws-0001"), "Halted")
    world.ok("vm", "snapshot-delete", "ws-0001", "before", "with memory")
    equal(world.vm("ws-0001")["snapshots"], [])
    world.fails(FAILED, "vm", "revert", "ws-0001", "before", "--yes", say="has no snapshot 'before'")
    world.ok("vm", "snapshot", "ws-0001", "ws-0002")
    equal(world.vm("ws-0002")["snapshots"] != [], True)
    world.ok("vm", "start", "ws-0001")


def case_copies_are_made_and_destroyed_with_their_disks(world):
    session = world.foreign()
    halted = world.rows("vm", "list", "--state", "halted")[0]["name"]
    world.ok("vm", "clone", halted, "copy-1")
    world.ok("vm", "snapshot", "copy-1")
    template = world.rows("vm", "list", "--templates")[0]["name"]
    world.ok("vm", "clone", template, "from-template")
    equal(world.state("from-template"), "Halted")
    world.fails(FAILED, "vm", "destroy", "copy-1", say="--yes")
    equal(world.state("copy-1"), "Halted")
    world.ok("vm", "destroy", "copy-1", "from-template", "--yes")
    world.fails(FAILED, "vm", "show", "copy-1", say="has no VM")
    left = [r["name_label"] for r in session.xenapi.VDI.get_all_records().values() if r["managed"] and not r["VBDs"]]
    equal(left, [], "disks that nobody has")
    equal(session.xenapi.VM.get_by_name_label("copy-1"), [])


def case_a_dry_run_changes_nothing(world):
    before = world.rows("vm", "list")
    done = world.ok("vm", "shutdown", "--all", "--dry-run")
    equal(done.stdout.count("would clean_shutdown"), len([r for r in before if r["power_state"] == "Running"]))
    world.ok("vm", "destroy", "--state", "halted", "--all", "--dry-run")
    world.ok("host", "evacuate", "host-02", "--dry-run")
    equal(world.rows("vm", "list"), before)
    equal([row["enabled"] for row in world.rows("host", "list")], [True] * HOSTS)


def case_what_cannot_be_is_refused_before_and_the_rest_is_done(world):
    running, halted = (world.rows("vm", "list", "--state", s)[0]["name"] for s in ("running", "halted"))
    done = world.fails(FAILED, "vm", "suspend", running, halted, say=f"{halted} is Halted, suspend wants Running: start it first")
    equal(f"{running}: suspended" in done.stdout, True, done.stdout)
    world.fails(FAILED, "vm", "start", running, say="Suspended")
    world.ok("vm", "resume", running)
    world.fails(FAILED, "vm", "start", running, say=f"{running} is Running already")
    world.fails(USAGE, "vm", "start", say="which VMs?")
    world.fails(USAGE, "vm", "migrate", running, say="--to HOST")
    session = world.foreign()
    vm = session.xenapi.VM.get_by_name_label(halted)[0]
    session.xenapi.VM.add_to_blocked_operations(vm, "start", "kept for the audit")
    world.settle()
    world.fails(FAILED, "vm", "start", halted, say="blocked this for " + halted + ": kept for the audit")
    session.xenapi.VM.remove_from_blocked_operations(vm, "start")


def case_the_pools_refusals_are_sentences_with_a_remedy(world):
    running = world.rows("vm", "list", "--state", "running")[0]["name"]
    world.ok("host", "disable", "host-03")
    other = world.rows("vm", "list", "--state", "halted")[0]["name"]
    world.fails(FAILED, "vm", "start", other, "--on", "host-03", say="host host-03 is disabled: 'vitrine host enable host-03' [HOST_DISABLED]")
    world.ok("host", "enable", "host-03")
    world.ctl("fail-next-task", "SR_BACKEND_FAILURE_44")
    world.fails(FAILED, "vm", "snapshot", running, say="too little space on the storage")
    world.ctl("fail-next-task", "VM_FAILED_SHUTDOWN_ACKNOWLEDGMENT")
    done = world.run("vm", "shutdown", running, "--json")
    row = json.loads(done.stdout)
    equal((done.returncode, row["outcome"], row["code"]), (FAILED, "failed", "VM_FAILED_SHUTDOWN_ACKNOWLEDGMENT"))
    equal("--force" in row["error"], True, row)


def case_many_vms_get_a_line_each(world):
    running = world.rows("vm", "list", "--state", "running")
    rows = world.rows("vm", "suspend", "--all", "--parallel", "2")
    equal(sorted(r["name"] for r in rows), sorted(r["name"] for r in running))
    equal({r["outcome"] for r in rows}, {"done"})
    equal(world.rows("vm", "list", "--state", "running"), [])
    rows = world.rows("vm", "resume", "--all")
    equal((len(rows), {r["outcome"] for r in rows}), (len(running), {"done"}))


# ---- hosts and storage ----

def case_a_host_is_evacuated_and_taken_back(world):
    moved = [row["name"] for row in world.rows("vm", "list", "--host", "host-02")]
    world.ok("host", "evacuate", "host-02")
    equal(world.rows("vm", "list", "--host", "host-02"), [])
    equal({world.state(name) for name in moved} <= {"Running"}, True)
    equal({row["name"]: row["enabled"] for row in world.rows("host", "list")}["host-02"], False)
    world.ok("host", "enable", "host-02")
    equal({row["name"]: row["enabled"] for row in world.rows("host", "list")}["host-02"], True)
    world.fails(FAILED, "host", "reboot", "host-02", say="nothing was done")


def case_a_vm_that_cannot_leave_is_named_before_anything_changes(world):
    stuck = world.rows("vm", "list", "--state", "running")[0]
    others = [row["name"] for row in world.rows("host", "list") if row["name"] != stuck["host"]]
    world.ok("host", "disable", *others)
    done = world.fails(FAILED, "host", "evacuate", stuck["host"], say="nothing was changed")
    equal(" cannot leave: no host can take it" in done.stderr, True, done.stderr)
    equal({row["name"]: row["enabled"] for row in world.rows("host", "list")}[stuck["host"]], True)
    world.ok("host", "enable", *others)


def case_storage_is_scanned_and_made_the_default(world):
    world.ok("sr", "scan", "Shared storage")
    world.ok("sr", "set-default", "Local storage on host-02")
    equal([r["name"] for r in world.rows("sr", "list") if r["default"]], ["Local storage on host-02"])
    world.ok("sr", "set-default", "Shared storage")
    world.fails(FAILED, "sr", "scan", "nothing", say="has no storage 'nothing'")


def case_storage_is_unplugged_and_plugged_host_by_host(world):
    local = "Local storage on host-02"
    equal(world.rows("sr", "unplug", local), [{"name": local, "host": "host-02", "outcome": "unplugged"}])
    equal({s["name"]: s["plugged"] for s in world.rows("host", "show", "host-02")[0]["storage"]}[local], False)
    equal(world.rows("sr", "unplug", local)[0]["outcome"], "is not plugged")
    world.ok("sr", "plug", local, "--dry-run")
    equal(world.rows("sr", "show", local)[0]["plugged"], "0/1")
    world.ok("sr", "plug", local)
    equal(world.rows("sr", "show", local)[0]["plugged"], "1/1")
    user = world.rows("vm", "list", "--state", "running")[0]
    world.fails(FAILED, "sr", "unplug", "Shared storage", "--host", user["host"], say="is in use on " + user["host"])
    equal(world.rows("sr", "show", "Shared storage")[0]["plugged"], "3/3")
    world.fails(FAILED, "sr", "unplug", local, "--host", "host-01", say="is not known to host-01")


# ---- joining and leaving ----

def findings(world, *options):
    done = world.run("pool", "check-join", "127.0.0.4", "--json", *options)
    return done.returncode, {row["rule"]: row for row in map(json.loads, done.stdout.splitlines())}


def case_a_good_host_passes_every_rule_also_strictly(world):
    status, rules = findings(world, "--strict")
    equal((status, {row["verdict"] for row in rules.values()}), (DONE, {"ok"}))
    paper = {"cpu-vendor", "cpu-model", "cpu-features", "not-in-pool", "shared-storage", "running-vms", "suspended-vms",
             "operations", "clock", "bonds", "static-address"}
    equal({row["rule"] for row in rules.values() if row["paper"]}, paper)
    world.fails(FAILED, "pool", "check-join", "127.0.0.2", say="not-in-pool")


BROKEN = {"ha": "ha", "running-vm": "running-vms", "suspended-vm": "suspended-vms", "operation": "operations", "guidance": "guidance",
          "platform": "platform", "cpu-vendor": "cpu-vendor", "cpu-model": "cpu-model", "cpu-features": "cpu-features",
          "version": "software", "shared-storage": "shared-storage", "bond": "bonds", "tunnel": "tunnels", "sriov": "sriov",
          "vlan": "vlans", "management-vlan": "management-vlan", "dhcp": "static-address", "clock": "clock",
          "directory": "directory", "licence": "edition", "network-backend": "network-backend", "api-version": "api-version",
          "db-schema": "db-schema", "address-type": "address-type", "tls": "tls", "updating": "updating",
          "sm-features": "storage-drivers"}
WARNINGS = {"cpu-model", "cpu-features", "dhcp"}


def case_every_rule_that_the_simulator_breaks_is_seen_beforehand(world):
    for word, rule in BROKEN.items():
        world.anew()
        world.ctl("break-join", "spare-01", word)
        status, rules = findings(world)
        wanted = ("warning", DONE) if word in WARNINGS else ("fails", FAILED)
        equal((rules[rule]["verdict"], status), wanted, f"{word}: {rules[rule]}")
        equal(rules[rule]["host"] != rules[rule]["pool"], True, rules[rule])
        status, rules = findings(world, "--strict")
        equal((rules[rule]["verdict"], status), ("fails", FAILED), word)
        others = [r for r in rules.values() if r["verdict"] != "ok" and r["rule"] != rule]
        allowed = {"cpu-vendor": {"cpu-model"}, "updating": {"operations"}}.get(word, set())
        equal({r["rule"] for r in others} <= allowed, True, f"{word}: {others}")


def case_a_host_that_breaks_a_rule_is_refused_unchanged(world):
    world.anew()
    world.ctl("break-join", "spare-01", "bond")
    world.ctl("break-join", "spare-01", "shared-storage")
    world.fails(FAILED, "pool", "join", "127.0.0.4", "--yes", say="2 rules fail: shared-storage, bonds")
    equal(len(world.rows("host", "list")), HOSTS)


def case_what_only_the_server_sees_is_explained(world):
    world.anew()
    world.ctl("break-join", "spare-01", "JOINING_HOST_SERVICE_FAILED")
    world.fails(FAILED, "pool", "join", "127.0.0.4", "--yes", say="did not answer as it must [JOINING_HOST_SERVICE_FAILED]")


def case_a_host_joins_and_leaves(world):
    world.anew()
    world.fails(FAILED, "pool", "join", "127.0.0.4", say="nothing was done")
    world.ok("pool", "join", "127.0.0.4", "--dry-run")
    equal(len(world.rows("host", "list")), HOSTS)
    joined = world.rows("pool", "join", "127.0.0.4", "--yes")[-1]
    equal((joined["name"], joined["outcome"]), ("spare-01", "joined"))
    equal("spare-01" in {row["name"] for row in world.rows("host", "list")}, True)
    world.fails(FAILED, "pool", "eject", "host-01", "--confirm", "host-01", say="is the master")
    world.fails(FAILED, "pool", "eject", "spare-01", "--confirm", "spare", say="--confirm wants 'spare-01'")
    world.ok("pool", "eject", "spare-01", "--confirm", "spare-01")
    equal("spare-01" in {row["name"] for row in world.rows("host", "list")}, False)


def case_a_pool_is_created_from_single_hosts(world):
    world.anew()
    state = ("-o", f"pool.state={world.folder}/new")
    world.ok("pool", "create", "--name", "reading rooms", "--master", f"127.0.0.1:{world.port}", "127.0.0.4", "--yes", *state)
    equal(world.rows("pool", "status")[0]["name"], "reading rooms")
    equal(len(world.rows("host", "list")), HOSTS + 1)
    world.fails(USAGE, "pool", "create", "--name", "x", say="--master")


# ---- when things fail ----

def case_a_session_that_died_is_renewed(world):
    world.anew()
    world.ok("vm", "list")
    world.ctl("expire-sessions")
    equal(len(world.rows("vm", "list")), VMS)


def case_the_last_picture_is_shown_when_no_master_answers(world):
    before = world.rows("vm", "list")
    world.ctl("kill-master")
    done = world.ok("vm", "list", "--json")
    equal([json.loads(line) for line in done.stdout.splitlines()], before)
    equal("this is how it was at" in done.stderr, True, done.stderr)
    world.fails(FAILED, "pool", "status", say="no master answers")
    world.fails(FAILED, "vm", "start", before[0]["name"], say="")


def members(world):
    return {row["name"]: row for row in world.rows("pool", "emergency")}


def case_an_emergency_shows_each_member_and_what_it_ran(world):
    world.anew()
    vms = world.rows("vm", "list")
    equal([row["state"] for row in members(world).values()].count("master"), 1)
    world.fails(FAILED, "pool", "emergency", "promote", "host-02", "--confirm", "the old master is off", say="is the master and answers")
    world.ctl("kill-master")
    end = time.monotonic() + 20
    while [row["state"] for row in members(world).values()].count("emergency") < 2 and time.monotonic() < end:
        time.sleep(0.1)
    found = members(world)
    equal({name: row["state"] for name, row in found.items()}, {"host-01": "silent", "host-02": "emergency", "host-03": "emergency"})
    for name, row in found.items():
        equal(sorted(row["ran"].split()), sorted(vm["name"] for vm in vms if vm["host"] == name))
    equal("promote HOST" in world.ok("pool", "emergency").stdout, True)
    equal("emergency mode" in world.ok("host", "login", "host-02").stdout, True)
    world.fails(FAILED, "host", "login", "host-01", say="does not answer")


def case_a_member_becomes_the_master_and_the_others_follow(world):
    dead = [vm["name"] for vm in world.rows("vm", "list") if vm["host"] == "host-01"]
    world.fails(FAILED, "pool", "emergency", "promote", "host-02", say="DESTROY DATA: nothing was done")
    world.fails(USAGE, "pool", "emergency", "promote", say="which host?")
    world.fails(USAGE, "pool", "emergency", "shout", "host-02", say="none of promote")
    done = world.ok("pool", "emergency", "promote", "host-02", "--confirm", "the old master is off")
    equal("host-03: follows 127.0.0.2" in done.stdout, True, done.stdout)
    equal(world.rows("pool", "status")[0]["address"], "127.0.0.2")
    equal({world.state(name) for name in dead}, {"Running"})     # so the database still says
    world.fails(FAILED, "pool", "emergency", "declare-dead", "host-03", "--confirm", "host-03", say="is alive and answers")
    world.ok("pool", "emergency", "declare-dead", "host-01", "--confirm", "host-01")
    equal({world.state(name) for name in dead}, {"Halted"})
    world.ok("vm", "start", *dead)
    lines = (world.folder / "state" / "emergency.log").read_text().splitlines()
    equal([line.split()[2] for line in lines], ["promote", "declare-dead", "declare-dead"], lines)
    equal("HOST_IS_LIVE" in lines[1] and lines[2].endswith("outcome=done"), True, lines)


if __name__ == "__main__":
    sys.exit(cases.main(globals(), World))
