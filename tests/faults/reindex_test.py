#!/usr/bin/python3
"""A reindex of thousands of instances holds nobody up: instances are stored and found while it runs, all are found afterwards. Killed
at any moment, it leaves an index that lacks nothing."""
import pathlib
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from powercut_sites_test import sop_of  # noqa: E402
from witness import load, missing_from_disk, missing_from_index, nodes, read_acks, verify  # noqa: E402
from rawdicom import CT, EXPLICIT, STUDY_FIND, Association, element, instance  # noqa: E402

INSTANCES, KILLS = 5000, 6
DEADLINE = 120
WAIT = 1.0          # the longest a C-STORE may wait for the reindex; what it waits without one comes on top
BEFORE = 100        # C-STOREs without a reindex


class Sender(threading.Thread):
    """Stores and finds, one after the other, until it is told to stop; how long the answers took."""
    def __init__(self, port, first):
        super().__init__(daemon=True)
        self.port, self.next, self.over = port, first, threading.Event()
        self.acks, self.waits, self.found, self.fault = {}, [], [], None

    def run(self):
        try:
            with Association(self.port, contexts=[(CT, [EXPLICIT]), (STUDY_FIND, [EXPLICIT])]) as a:
                while not self.over.is_set():
                    self.once(a)
        except (RuntimeError, OSError, AssertionError) as e:
            self.fault = str(e)

    def once(self, a):
        sop, study, series = sop_of(self.next)
        data = instance(sop, study, series, CT, patient_id=f"P{self.next}", pixels=bytes(400), rows=20)
        begun = time.monotonic()
        status, _ = a.store(CT, sop, data)
        self.waits.append((begun, time.monotonic() - begun))
        if status != 0:
            raise RuntimeError(f"{sop} was answered {status:04X}")
        self.next += 1
        self.acks[sop] = study, series, 0
        keys = element(0x00080052, "CS", "STUDY") + element(0x0020000D, "UI", study)
        status, matches, _ = a.find(keys)
        if status != 0 or len(matches) != 1:
            raise RuntimeError(f"study {study} was found {len(matches)} times right after it was stored ({status:04X})")

    def slowest(self, since=0.0):
        return max((wait for begun, wait in self.waits if begun >= since), default=0.0)


def begin_reindex(node):
    return subprocess.Popen([str(nodes.BIN / "vitrine"), *node.options, "reindex"], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def until(condition, what):
    deadline = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} took more than {DEADLINE} s")
        time.sleep(0.005)


def beside(node):
    """Faults of a reindex with a sender beside it."""
    sender = Sender(node.port, 1)
    sender.start()
    until(lambda: len(sender.waits) >= BEFORE or sender.fault, "storing")
    usual, before = sender.slowest(), len(sender.waits)
    begun = time.monotonic()
    reindex = begin_reindex(node)
    said = reindex.communicate(timeout=DEADLINE)[0]
    seconds = time.monotonic() - begun
    sender.over.set()
    sender.join(DEADLINE)
    slowest, stored = sender.slowest(begun), len(sender.waits) - before
    print(f"reindex of {INSTANCES} took {seconds:.2f} s; {stored} stored beside it, the slowest waited {slowest * 1000:.0f} ms "
          f"(without: {usual * 1000:.0f} ms)", flush=True)
    faults = [sender.fault] if sender.fault else []
    if reindex.returncode != 0:
        faults.append(f"reindex: {said}")
    if slowest > WAIT + usual:
        faults.append(f"a C-STORE waited {slowest:.2f} s")
    if stored < 10:
        faults.append(f"only {stored} were stored while it ran")
    return faults, sender.acks


def killed(node, rng, slowest):
    reindex = begin_reindex(node)
    time.sleep(rng.random() * slowest)
    node.kill()
    reindex.communicate(timeout=DEADLINE)
    node.start()


def counts(node):
    return nodes.json_lines(node.cli("status", "--json").stdout)[0]["instances"]


def main():
    seed = random.randrange(1 << 30)
    print(f"seed {seed}", flush=True)
    with nodes.work_folder("reindex") as folder:
        folder = pathlib.Path(folder)
        node = nodes.Node(folder / "archive").start()
        try:
            said = load(node.port, folder / "acks", "--set", "tiny", "-c", 16, "--count", INSTANCES).communicate(timeout=DEADLINE)[0]
            acks = read_acks(folder / "acks")
            if len(acks) != INSTANCES:
                raise RuntimeError(f"the ingest failed: {said}")
            begun = time.monotonic()
            faults, beside_it = beside(node)
            took, rng = time.monotonic() - begun, random.Random(seed)
            total = INSTANCES + len(beside_it)
            for i in range(KILLS):
                killed(node, rng, took)
                if counts(node) != total:
                    faults.append(f"after kill {i + 1} {counts(node)} instances are found, not {total}")
            faults += missing_from_index(node.port, acks) + missing_from_disk(node.path, acks) + verify(node)
            faults += missing_from_index(node.port, beside_it)
        finally:
            if node.alive():
                node.kill()
    print("\n".join(faults) or "everything was found during, after, and behind kills in the middle")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
