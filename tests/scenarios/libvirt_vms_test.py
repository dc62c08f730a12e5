#!/usr/bin/python3
"""Real virtual machines: QEMU without KVM under a libvirtd of our own, in namespaces of their own (network, mounts, processes), so that
nothing is left behind and nothing outside is touched. Tiny Linux guests (guest.sh) are started, paused, suspended, cut off, kept in
snapshots, reverted and shut down by `vitrine vm`; whether they live says ping, and libvirt's own virsh says what it sees.
VT_LONG=N does the cut, the snapshot and the way back N times (1). Needs root; skipped where libvirt or QEMU is not installed."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import cases
from cases import equal

BIN = pathlib.Path(os.environ["VT_BIN_DIR"])
VITRINE = BIN / "vitrine"
HERE = pathlib.Path(__file__).parent
GUESTS = ("w1", "w2", "w3")
ROUNDS = int(os.environ.get("VT_LONG", "1"))
DONE, FAILED, SKIPPED = 0, 1, 77
WAIT_S = 120
STARTS = 3
PATIENT = "120s"    # a guest boots in seconds, or in a minute where the machine has others to serve
TOOLS = ("libvirtd", "virsh", "qemu-system-x86_64", "qemu-img", "unshare", "ip", "ping")

QEMU_CONF = """user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = [ ]
cgroup_controllers = [ ]
stdio_handler = "file"
"""
LIBVIRTD_CONF = 'auth_unix_rw = "none"\nunix_sock_rw_perms = "0770"\n'
DOMAIN = """<domain type='qemu'><name>{name}</name><memory unit='MiB'>96</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type><kernel>{guest}/vmlinuz</kernel><initrd>{guest}/guest.cpio.gz</initrd>
<cmdline>console=ttyS0 quiet panic=1 mitigations=off nokaslr no_timer_check name={name} vip={address}/24</cmdline></os>
<features><acpi/></features><on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>
<devices><controller type='usb' model='none'/><memballoon model='none'/>
<disk type='file' device='disk'><driver name='qemu' type='{format}'/><source file='{disk}'/><target dev='vda' bus='virtio'/></disk>
<interface type='bridge'><mac address='52:54:00:77:00:1{number}'/><source bridge='br0'/><target dev='vit{number}'/>
<model type='virtio'/><rom enabled='no'/></interface>
<serial type='file'><source path='{folder}/{name}.log'/></serial></devices></domain>
"""


def sh(*words, check=True):
    return subprocess.run(words, check=check, capture_output=True, text=True, timeout=WAIT_S, stdin=subprocess.DEVNULL)


def wait(condition, what):
    end = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {WAIT_S} s")
        time.sleep(0.05)


class World:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.guest = BIN.parent / "guest"
        # /run as a whole: its pid file lies beside /run/libvirt, and the system's bus would tell others of our guests
        for place in ("/run", "/var/lib/libvirt", "/var/log/libvirt", "/var/cache/libvirt"):
            os.makedirs(place, exist_ok=True)
            sh("mount", "-t", "tmpfs", "tmpfs", place)
        (self.folder / "etc" / "qemu").mkdir(parents=True)
        (self.folder / "etc" / "qemu.conf").write_text(QEMU_CONF)
        (self.folder / "etc" / "libvirtd.conf").write_text(LIBVIRTD_CONF)
        sh("mount", "--bind", str(self.folder / "etc"), "/etc/libvirt")
        for words in ("link set lo up", "link add br0 type bridge", "addr add 10.77.0.1/24 dev br0", "link set br0 up"):
            sh("ip", *words.split())
        self.daemon = None
        self.start_daemon()
        for number, name in enumerate(GUESTS, 1):
            self.define(name, number, "qcow2")

    def start_daemon(self):
        for _ in range(STARTS):
            with open(self.folder / "libvirtd.log", "ab") as log:
                self.daemon = subprocess.Popen(["libvirtd"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            if self.daemon_answers():
                return
            self.kill_daemon()
        raise AssertionError(f"libvirtd does not answer: {(self.folder / 'libvirtd.log').read_text()[-4000:]}")

    def daemon_answers(self):
        end = time.monotonic() + WAIT_S
        while self.daemon.poll() is None and time.monotonic() < end:
            try:
                if subprocess.run(["virsh", "-q", "-c", "qemu:///system", "uri"], check=False, capture_output=True, timeout=20,
                                  stdin=subprocess.DEVNULL).returncode == 0:
                    return True
            except subprocess.TimeoutExpired:
                continue
            time.sleep(0.1)
        return False

    def kill_daemon(self):
        self.daemon.kill()
        self.daemon.wait()
        pathlib.Path("/run/libvirt/libvirt-sock").unlink(missing_ok=True)

    def define(self, name, number, kind):
        disk = self.folder / f"{name}.{kind}"
        sh("qemu-img", "create", "-q", "-f", kind, str(disk), "64M")
        text = DOMAIN.format(name=name, number=number, address=self.address(number), guest=self.guest, folder=self.folder, disk=disk,
                             format=kind)
        (self.folder / f"{name}.xml").write_text(text)
        self.virsh("define", str(self.folder / f"{name}.xml"))

    @staticmethod
    def address(number):
        return f"10.77.0.1{number}"

    @staticmethod
    def virsh(*words):
        return sh("virsh", "-q", "-c", "qemu:///system", *words).stdout

    def pings(self, name):
        number = GUESTS.index(name) + 1
        return sh("ping", "-c1", "-W0.3", "-q", self.address(number), check=False).returncode == 0

    def boots(self, name):
        return (self.folder / f"{name}.log").read_text(errors="replace").count("GUEST READY")

    def run(self, *words):
        return subprocess.run([VITRINE, *words, "-o", "pool.url=qemu:///system", "-o", f"pool.state={self.folder}/state"],
                              capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL, env={**os.environ, "VITRINE_CONF": ""},
                              check=False)

    def ok(self, *words):
        done = self.run(*words)
        equal(done.returncode, DONE, f"{words}: {done.stdout} {done.stderr}")
        return done.stdout

    def fails(self, *words, say):
        done = self.run(*words)
        equal((done.returncode, say in done.stderr), (FAILED, True), f"{words}: {done.stdout} {done.stderr}")

    def rows(self, *words):
        return [json.loads(line) for line in self.ok(*words, "--json").splitlines()]

    def vm(self, name):
        return self.rows("vm", "list", name)[0]

    def state(self, name):
        return self.vm(name)["power_state"]


def case_three_guests_start_at_once_and_answer(world):
    equal({row["name"]: row["power_state"] for row in world.rows("vm", "list")}, {name: "Halted" for name in GUESTS})
    rows = world.rows("vm", "start", *GUESTS)
    equal({row["outcome"] for row in rows}, {"done"}, rows)
    for name in GUESTS:
        wait(lambda: world.pings(name), f"{name} to answer")
        equal(world.vm(name)["addresses"], [world.address(GUESTS.index(name) + 1)])
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
    world.define("raw", 4, "raw")
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
    for words in (("vm", "migrate", "w1", "--to", "x"), ("vm", "clone", "w1", "copy"), ("host", "disable", "x"), ("pool", "eject", "x")):
        world.fails(*words, say="the driver libvirt cannot")


# ---- vitrine-poold: one session for all, and the watch ----

class Daemon:
    def __init__(self, world):
        self.world = world
        self.socket = world.folder / "pool.sock"
        settings = ("pool.url=qemu:///system", f"pool.state={world.folder}/daemon", f"pool.socket={self.socket}", "watch.free_percent=0",
                    "watch.free_bytes=1")
        self.process = subprocess.Popen([BIN / "vitrine-poold", *(word for setting in settings for word in ("-o", setting))],
                                        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while "ready" not in (line := self.process.stderr.readline()):
            if not line:
                raise RuntimeError("vitrine-poold did not start")

    def run(self, *words):
        return self.world.run(*words, "-o", f"pool.socket={self.socket}")

    def rows(self, *words):
        done = self.run(*words, "--json")
        equal(done.returncode, DONE, f"{words}: {done.stdout} {done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def state(self, name):
        return next(row["power_state"] for row in self.rows("vm", "list") if row["name"] == name)

    def stop(self):
        self.process.stderr.close()
        self.process.terminate()
        equal(self.process.wait(60), 0, "the end of vitrine-poold")


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


def watch(daemon, name, grace):
    daemon.rows("watch", "add", name, "--probe", "icmp", "--interval", "1s", "--timeout", "1s", "--threshold", "3", "--grace", grace)


def answers(daemon):
    return [row["vm"] for row in daemon.rows("watch", "list") if row["state"] == "answers"]


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


def inside():
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        world = World(folder)
        try:
            return cases.run(globals(), world)
        finally:
            for name in (*GUESTS, "raw"):
                sh("virsh", "-q", "-c", "qemu:///system", "destroy", name, check=False)
            world.daemon.terminate()
            world.daemon.wait(60)
            print(f"{time.monotonic() - begun:.1f} s")


def main():
    if "--inside" in sys.argv:
        return inside()
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if os.geteuid() != 0 or missing:
        print("skipped:", "wants root" if not missing else f"{' '.join(missing)} not installed")
        return SKIPPED
    guest = subprocess.run([HERE / "guest.sh", BIN.parent / "guest"], stdin=subprocess.DEVNULL, check=False)
    if guest.returncode:
        return guest.returncode
    apart = ["unshare", "-n", "-m", "-p", "-f", "--mount-proc", "--kill-child"]
    if subprocess.run([*apart, "true"], check=False, capture_output=True).returncode:
        print("skipped: no namespaces here")
        return SKIPPED
    reaper = ["bash", "-c", '"$@"; exit $?', "bash"]     # the first process must bury the guests' remains, or libvirt waits for them
    return subprocess.run([*apart, *reaper, sys.executable, __file__, "--inside"], stdin=subprocess.DEVNULL, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
