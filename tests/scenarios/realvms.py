"""Real virtual machines for scenarios: QEMU without KVM under a libvirtd of our own, in namespaces of their own (network, mounts,
processes), so that nothing is left behind and nothing outside is touched; tiny Linux guests (guest.sh), `vitrine` and `vitrine-poold`
beside them. Needs root; a scenario is skipped where libvirt or QEMU is not installed."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import cases
from cases import equal

BIN = pathlib.Path(os.environ["VT_BIN_DIR"])
VITRINE = BIN / "vitrine"
HERE = pathlib.Path(__file__).parent
DONE, FAILED, SKIPPED = 0, 1, 77
WAIT_S = 120
STARTS = 3
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
DOMAIN = """<domain type='qemu'><name>{name}</name><memory unit='MiB'>{memory}</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type><kernel>{guest}/vmlinuz</kernel><initrd>{guest}/{image}.cpio.gz</initrd>
<cmdline>console=ttyS0 quiet panic=1 mitigations=off nokaslr no_timer_check name={name} vip={address}/24</cmdline></os>
<features><acpi/></features><on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>
<devices><controller type='usb' model='none'/><memballoon model='none'/>
<disk type='file' device='disk'><driver name='qemu' type='{format}'/><source file='{disk}'/><target dev='vda' bus='virtio'/></disk>
<interface type='bridge'><mac address='52:54:00:77:00:1{number}'/><source bridge='br0'/><target dev='vit{number}'/>
<model type='virtio'/><rom enabled='no'/></interface>
<serial type='file'><source path='{folder}/{name}.log'/></serial>{devices}</devices></domain>
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
    """guests: their names; the first has the address 10.77.0.11."""

    def __init__(self, folder, guests):
        self.guests = list(guests)
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

    def define(self, name, kind="qcow2", disk=None, image="guest", memory=96, devices=""):
        if name not in self.guests:
            self.guests.append(name)
        if disk is None:
            disk = self.folder / f"{name}.{kind}"
            sh("qemu-img", "create", "-q", "-f", kind, str(disk), "64M")
        text = DOMAIN.format(name=name, number=self.guests.index(name) + 1, address=self.address(name), guest=self.guest,
                             folder=self.folder, disk=disk, format=kind, image=image, memory=memory, devices=devices)
        (self.folder / f"{name}.xml").write_text(text)
        self.virsh("define", str(self.folder / f"{name}.xml"))

    def address(self, name):
        return f"10.77.0.1{self.guests.index(name) + 1}"

    @staticmethod
    def virsh(*words):
        return sh("virsh", "-q", "-c", "qemu:///system", *words).stdout

    def pings(self, name):
        return sh("ping", "-c1", "-W0.3", "-q", self.address(name), check=False).returncode == 0

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

    def close(self):
        for name in self.virsh("list", "--all", "--name").split():
            sh("virsh", "-q", "-c", "qemu:///system", "destroy", name, check=False)
        self.daemon.terminate()
        self.daemon.wait(60)


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


def watch(daemon, name, grace, *more):
    daemon.rows("watch", "add", name, "--probe", "icmp", "--interval", "1s", "--timeout", "1s", "--threshold", "3", "--grace", grace, *more)


def answers(daemon):
    return [row["vm"] for row in daemon.rows("watch", "list") if row["state"] == "answers"]


# ---- a scenario's main program ----

def main(space, prepare, tools=()):
    """space: globals() of the scenario; prepare(folder): its World. Calls the scenario once more, in namespaces."""
    file = space["__file__"]
    if "--inside" in sys.argv:
        return cases.main(space, prepare)
    missing = [tool for tool in (*TOOLS, *tools) if not shutil.which(tool)]
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
    return subprocess.run([*apart, *reaper, sys.executable, file, "--inside"], stdin=subprocess.DEVNULL, check=False).returncode
