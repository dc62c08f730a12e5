#!/usr/bin/python3
"""A full disk, and an index that is locked, unwritable or broken: a failure with a reason, what is stored stays findable, and
there is a way back. Runs in a mount namespace of its own on a small tmpfs; skipped where that is not allowed."""
import os
import pathlib
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from witness import missing_from_disk, missing_from_index, nodes, verify  # noqa: E402
from rawdicom import (CT, EXPLICIT, IMPLICIT, VERIFICATION, Aborted, Association, Closed, comment_of, instance)  # noqa: E402
import zlib  # noqa: E402

DISK_MIB = 320              # two journal segments of 64 MiB, the databases, and some room
BALLAST_MIB = 60
ROOM_TO_START = 1 << 20     # below the stop mark; the databases' shared memory wants some of it
PIXELS = bytes(range(256)) * 2048     # 512 KiB
STORE_MAX = 2000
A700 = 0xA700
LOCKED = "index is locked by another program, end it or try again"


class Sender:
    """Stores CTs one after another and keeps what was acknowledged."""
    def __init__(self, node):
        self.node, self.acks, self.number = node, {}, 0

    def store(self, association):
        self.number += 1
        sop, study, series = f"1.2.826.7.{self.number}", "1.2.826.5", "1.2.826.6"
        data = instance(sop, study, series, CT, number=self.number, pixels=PIXELS, rows=512)
        status, values = association.store(CT, sop, data)
        if status == 0:
            self.acks[sop] = (study, series, zlib.crc32(data))
        return status, comment_of(values)

    def until_refused(self):
        """(status, comment) of the first failure; (0, "") when there was none."""
        with self.associate() as a:
            for _ in range(STORE_MAX):
                status, comment = self.store(a)
                if status:
                    return status, comment
        return 0, ""

    def associate(self):
        return Association(self.node.port, contexts=[(CT, [EXPLICIT]), (VERIFICATION, [IMPLICIT])])


def expect(condition, sentence, faults):
    print(("ok: " if condition else "FAULT: ") + sentence, flush=True)
    if not condition:
        faults.append(sentence)


def check_refusal(answer, faults):
    status, comment = answer
    expect(status & 0xFF00 == A700, f"a full disk is answered A7xx (was {status:04X} '{comment}')", faults)
    expect(0 < len(comment) <= 64, f"with a reason: '{comment}'", faults)


def fill(path):
    """Until the disk is full."""
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError:
            pass


def full_disk(disk, faults):
    ballast, filler = disk / "ballast", disk / "filler"
    ballast.write_bytes(os.urandom(1 << 20) * BALLAST_MIB)
    with nodes.Node(disk / "archive") as node:
        sender = Sender(node)
        check_refusal(sender.until_refused(), faults)
        with sender.associate() as a:
            expect(a.echo() == 0, "C-ECHO is answered on a full disk", faults)
            expect(sender.store(a)[0] & 0xFF00 == A700, "and the next store is refused as well", faults)
        lost = missing_from_index(node.port, sender.acks)
        expect(not lost, f"{len(sender.acks)} instances are found on a full disk {lost[:2]}", faults)
        fill(filler)                                     # not a byte left, below every mark
        check_refusal(sender.until_refused(), faults)
        expect(not missing_from_index(node.port, sender.acks), "instances are found with not a byte left", faults)
        filler.unlink()
        ballast.unlink()
        deadline, status, comment = time.monotonic() + 30, 1, ""
        while status and time.monotonic() < deadline:
            with sender.associate() as a:
                status, comment = sender.store(a)
            time.sleep(0.2)
        expect(status == 0, f"ingest resumes when there is space (was {status:04X} '{comment}')", faults)
        lost = missing_from_index(node.port, sender.acks) + missing_from_disk(node.path, sender.acks) + verify(node)
        expect(not lost, f"all {len(sender.acks)} acknowledged instances are there {lost[:3]}", faults)
    ballast.write_bytes(b"")
    return sender.acks


def start_without_a_byte(disk, faults):
    """Not even SQLite's shared memory finds room."""
    node = nodes.Node(disk / "archive")
    try:
        node.start()
        node.stop()
        print("ok: a node starts without a byte left")
    except RuntimeError as e:
        words = str(e).lower()
        expect("full" in words or "no space" in words, f"a node that cannot start names the full volume ({e})", faults)
        expect(str(disk) in words and "i/o error" not in words, "and its path, and nothing else", faults)


def start_on_a_full_disk(disk, acks, faults):
    fill(disk / "ballast")
    start_without_a_byte(disk, faults)
    os.truncate(disk / "ballast", os.path.getsize(disk / "ballast") - ROOM_TO_START)
    try:
        with nodes.Node(disk / "archive") as node:
            lost = missing_from_index(node.port, acks)
            expect(not lost, f"a node started on a full disk answers queries {lost[:2]}", faults)
            check_refusal(Sender(node).until_refused(), faults)
    except RuntimeError as e:
        expect(False, f"a node starts on a full disk ({e})", faults)
    (disk / "ballast").unlink()


def locked_index(archive, acks, faults):
    with nodes.Node(archive) as node:
        sender = Sender(node)
        sender.number = 100000
        other = sqlite3.connect(archive / "index.db", isolation_level=None, timeout=5)
        other.execute("begin immediate")
        begun = time.monotonic()
        try:
            with sender.associate() as a:
                status, comment = sender.store(a)
        except (TimeoutError, Closed, Aborted) as e:
            status, comment = -1, str(e)
        took = time.monotonic() - begun
        expect(status == 0 or comment == LOCKED, f"a locked index is named in a sentence ('{comment}')", faults)
        expect(status == 0 or (status > 0 and status & 0xFF00 == A700 and comment),
               f"a locked index: success or A7xx with a reason, in bounded time ({status:04X} '{comment}' after {took:.1f} s)", faults)
        expect(not missing_from_index(node.port, acks), "a locked index answers queries", faults)
        other.execute("rollback")
        other.close()
        with sender.associate() as a:
            status, comment = sender.store(a)
        expect(status == 0, f"ingest goes on when the lock is gone ({status:04X} '{comment}')", faults)
        acks.update(sender.acks)
        lost = missing_from_index(node.port, acks) + missing_from_disk(node.path, acks)
        expect(not lost, f"nothing acknowledged is lost by it {lost[:2]}", faults)


def broken_index(archive, acks, faults):
    index = archive / "index.db"
    for name in ("index.db-wal", "index.db-shm"):
        (archive / name).unlink(missing_ok=True)
    size = index.stat().st_size
    index.write_bytes(b"this is no database" * (size // 19))
    node = nodes.Node(archive)
    try:
        with node:
            lost = missing_from_index(node.port, acks)
            expect(not lost, f"a broken index was rebuilt at the start {lost[:2]}", faults)
        return
    except RuntimeError as e:
        expect(str(e).count("reindex") == 1, f"a broken index: the message names `vitrine reindex` once ({e})", faults)
    done = node.cli("reindex")
    expect(done.returncode == 0, f"`vitrine reindex` repairs it ({(done.stdout + done.stderr).strip()[-200:]})", faults)
    with nodes.Node(archive) as again:
        lost = missing_from_index(again.port, acks) + missing_from_disk(archive, acks) + verify(again)
        expect(not lost, f"all {len(acks)} instances are found after it {lost[:2]}", faults)


def unwritable(disk, archive, faults):
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    try:
        node = nodes.Node(archive)
        try:
            node.start()
            node.stop()
            expect(False, "a node does not start on a read-only disk", faults)
        except RuntimeError as e:
            expect(str(archive) in str(e), f"a read-only disk: the message names the folder ({e})", faults)
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)


def main():
    if os.environ.get("VT_IN_NAMESPACE") != "1":
        probe = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
        if os.geteuid() != 0 or probe.returncode != 0:
            print("skipped: a mount namespace needs root")
            return nodes.SKIPPED
        os.execvpe("unshare", ["unshare", "-m", sys.executable, __file__], dict(os.environ, VT_IN_NAMESPACE="1"))
    faults = []
    with nodes.work_folder("full") as folder:
        disk = pathlib.Path(folder, "disk")
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(disk)], check=True)
        try:
            acks = full_disk(disk, faults)
            start_on_a_full_disk(disk, acks, faults)
            locked_index(disk / "archive", acks, faults)
            unwritable(disk, disk / "archive", faults)
            broken_index(disk / "archive", acks, faults)
        finally:
            subprocess.run(["umount", "-l", str(disk)], check=False)
    print(f"{len(faults)} faults" if faults else "passed")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
