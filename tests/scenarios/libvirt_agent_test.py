#!/usr/bin/python3
"""A guest with an agent, a screen and a disk that it writes to, under QEMU (realvms.py): quiesced snapshots, by hand and by the watch;
what becomes of the wish when the agent is gone; its screen through the relay; copies. That a snapshot is quiesced says the file system
in it: e2fsprogs finds nothing to recover."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

from cases import equal
from realvms import Daemon, VITRINE, World, answers, main, sh, wait, watch

AGENT = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
SCREEN = "<graphics type='vnc' autoport='yes' listen='127.0.0.1'/><video><model type='vga'/></video>"


def has_agent(world, name):
    return "snapshot_with_quiesce" in world.rows("vm", "show", name)[0]["allowed_operations"]


def wants_recovery(world, image):
    """The file system in the image was in use when it was left."""
    raw = world.folder / "looked-at.raw"
    sh("qemu-img", "convert", "-U", "-O", "raw", str(image), str(raw))
    features = next(line for line in sh("dumpe2fs", "-h", str(raw)).stdout.splitlines() if line.startswith("Filesystem features"))
    return "needs_recovery" in features


def overlays(world, name):
    """The files of its disk, the newest first."""
    chain = sh("qemu-img", "info", "-U", "--backing-chain", "--output=json", world.virsh("domblklist", name).split()[1]).stdout
    return [item["filename"] for item in json.loads(chain)]


def case_a_guest_with_an_agent_can_be_quiesced(world):
    world.ok("vm", "start", "ga")
    wait(lambda: world.pings("ga"), "ga to answer")
    wait(lambda: has_agent(world, "ga"), "its agent")
    equal(wants_recovery(world, world.disk), True)               # a plain copy would have to be mended
    row = world.rows("vm", "snapshot", "ga", "--quiesced", "--name", "still")[0]
    equal(row["outcome"], "done", row)
    equal(wants_recovery(world, world.disk), False)
    equal(len(overlays(world, "ga")), 2)
    listed = world.rows("vm", "snapshots", "ga")[0]
    equal((listed["kind"], listed["description"], listed["revertible"]),
          ("snapshot", "quiesced, disks only: it cannot be reverted to", False))
    world.fails("vm", "revert", "ga", "still", "--yes", say="revert")
    equal(world.pings("ga"), True)
    equal("Thawed 0 " in sh("virsh", "-c", "qemu:///system", "domfsthaw", "ga").stdout, True)   # nothing stands still any more


def case_without_an_agent_it_is_refused_and_nothing_is_taken(world):
    world.ok("vm", "start", "plain")
    wait(lambda: world.pings("plain"), "plain to answer")
    equal(has_agent(world, "plain"), False)
    world.fails("vm", "snapshot", "plain", "--quiesced", say="no guest agent of plain is connected")
    equal(world.vm("plain")["snapshots"], [])


def loses_its_network(world, daemon, name):
    world.virsh("domif-setlink", name, f"vit{world.guests.index(name) + 1}", "down")
    wait(lambda: [row for row in daemon.rows("watch", "timeline", name) if row["snapshot"]], f"the snapshot of {name}")
    return daemon.rows("watch", "timeline", name)[0]


def case_a_lost_network_is_followed_by_a_quiesced_snapshot_or_by_one_that_says_why_not(world):
    daemon = Daemon(world)
    try:
        for name in ("ga", "plain"):
            watch(daemon, name, "2s", "--snapshot", "quiesced")
        wait(lambda: answers(daemon) == ["ga", "plain"], "two guests that answer")
        equal({row["snapshot"] for row in daemon.rows("watch", "list")}, {"quiesced"})
        incident = loses_its_network(world, daemon, "ga")
        equal((incident["class"], "not quiesced" in incident["reason"]), ("network-lost", False), incident)
        taken = next(row for row in daemon.rows("vm", "snapshots", "ga") if row["uuid"] == incident["snapshot"])
        equal((taken["description"].splitlines()[0], taken["revertible"]), ("quiesced, disks only: it cannot be reverted to", False), taken)
        equal(wants_recovery(world, overlays(world, "ga")[1]), False)
        number = daemon.rows("watch", "incident", "list", "ga")[0]["id"]
        equal(daemon.rows("watch", "incident", "show", str(number))[0]["evidence"]["guard"]["chain_depth"], 2)   # it has one already
        incident = loses_its_network(world, daemon, "plain")
        equal("snapshot not quiesced: no guest agent is connected" in incident["reason"], True, incident)
        taken = next(row for row in daemon.rows("vm", "snapshots", "plain") if row["uuid"] == incident["snapshot"])
        equal((taken["kind"], taken["revertible"]), ("checkpoint", True), taken)
    finally:
        daemon.stop()


def case_a_screen_is_shown_and_who_has_none_is_told(world):
    from PIL import Image
    file = world.folder / "screen.png"
    world.ok("vm", "console", "ga", "--screenshot", str(file))
    with Image.open(file) as image:
        image.load()
        equal(image.size[0] >= 320 and image.size[1] >= 200, True, image.size)
    world.fails("vm", "console", "plain", "--screenshot", str(file), say="it has no VNC screen")
    world.ok("vm", "shutdown", "ga", "--force")
    world.fails("vm", "console", "ga", "--screenshot", str(file), say="it must run")


def case_a_foreign_viewer_sees_the_screen_through_the_relay(world):
    if not shutil.which("vncsnapshot"):
        print("vncsnapshot is not installed: passed over")
        return
    world.ok("vm", "start", "ga")
    relay = subprocess.Popen([VITRINE, "vm", "console", "ga", "-o", "pool.url=qemu:///system", "-o", f"pool.state={world.folder}/state"],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env={**os.environ, "VITRINE_CONF": ""})
    try:
        port = int(relay.stdout.readline().rsplit(":", 1)[1])
        file = world.folder / "foreign.jpg"
        where = f"127.0.0.1::{port}" if port < 5900 else f"127.0.0.1:{port - 5900}"
        sh("vncsnapshot", where, str(file))
        equal(file.stat().st_size > 0, True)
        equal(relay.wait(60), 0)
    finally:
        relay.kill()
        relay.stdout.close()
    world.ok("vm", "shutdown", "ga", "--force")


def case_a_copy_has_disks_of_its_own_and_boots(world):
    world.fails("vm", "clone", "ga", "copy", say="lies in no storage pool")
    world.virsh("pool-define-as", "disks", "dir", "--target", str(world.folder))
    world.virsh("pool-start", "disks")
    world.fails("vm", "clone", "ga", "plain", say="there is a VM 'plain' already")
    equal(world.rows("vm", "clone", "ga", "copy")[0]["outcome"], "done")
    disk = pathlib.Path(world.virsh("domblklist", "copy").split()[1])
    equal((disk.name.startswith("copy-0"), len(overlays(world, "copy"))), (True, 1), disk)
    macs = [world.virsh("domiflist", name).split()[4] for name in ("ga", "copy")]
    equal(macs[0] != macs[1], True, macs)
    row = world.vm("copy")
    equal((row["power_state"], row["snapshots"], row["uuid"] != world.vm("ga")["uuid"]), ("Halted", [], True), row)
    world.ok("vm", "start", "copy")
    wait(lambda: has_agent(world, "copy"), "the copy's own agent")
    world.ok("vm", "shutdown", "copy", "--force")
    world.ok("vm", "destroy", "copy", "--yes")
    equal(disk.exists(), False)


def prepare(folder):
    world = World(folder, ("ga", "plain"))
    world.disk = world.folder / "ga.qcow2"
    raw = world.folder / "ga.raw"
    sh("qemu-img", "create", "-q", "-f", "raw", str(raw), "64M")
    sh("mkfs.ext4", "-q", "-O", "^metadata_csum,^64bit", str(raw))
    sh("qemu-img", "convert", "-O", "qcow2", str(raw), str(world.disk))
    world.define("ga", disk=world.disk, image="agent", memory=128, devices=AGENT + SCREEN)
    world.define("plain")
    return world


if __name__ == "__main__":
    sys.exit(main(globals(), prepare, tools=("qemu-ga", "mkfs.ext4", "dumpe2fs")))
