#!/usr/bin/python3
"""A journal whose header is damaged between a crash and the next start: what was acknowledged is there all the same, the log says so
loudly, a copy of the segment as it was lies beside it. Neither do records that were done with long ago come back."""
import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from powercut_sites_test import cli, store  # noqa: E402
from witness import load, missing_from_disk, missing_from_index, nodes, read_acks, verify  # noqa: E402

OPTIONS = ["archive.journal_segment=1M"]
DEADLINE = 60
WOUNDS = {"checksum": (40, 4), "generation and number": (8, 24), "block": (0, 4096)}


def wound(path, at, size):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(b"\xa5" * size)


def crashed_ingest(node, folder):
    """What was acknowledged until the kill."""
    file = folder / "acks"
    sender = load(node.port, file, "--set", "tiny", "-c", 8, "--count", 20000)
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline and not (file.exists() and file.stat().st_size > 20000):
        time.sleep(0.01)
    node.kill()
    sender.communicate(timeout=DEADLINE)
    return read_acks(file)


def forget_last_rows(path):
    """The index as it was when its log was cut off last: replay has something to do."""
    for name in ("index.db-wal", "index.db-shm"):
        (path / name).unlink(missing_ok=True)


def faults_after(node, acks, wanted):
    node.lines.clear()
    node.start()
    told = [line for line in node.lines if "journal.damaged" in line]
    faults = missing_from_index(node.port, acks) + missing_from_disk(node.path, acks) + verify(node)
    if len(told) != wanted:
        faults.append(f"the log names {len(told)} damaged segments, not {wanted}: {node.lines}")
    copies = sorted((node.path / "journal").glob("*.damaged*"))
    for line in told:
        copy = re.search(r"journal/(\d\.damaged[.\d]*)", line)
        if not copy or not (node.path / "journal" / copy[1]).exists():
            faults.append(f"no copy of it: {line}, {copies}")
    return faults


def live_segments(name, place):
    """Both headers lost right after a crash."""
    with nodes.work_folder("damaged") as folder:
        folder = pathlib.Path(folder)
        node = nodes.Node(folder / "archive", OPTIONS)
        try:
            acks = crashed_ingest(node.start(), folder)
            if len(acks) < 100:
                return [f"only {len(acks)} were acknowledged"]
            for i in "01":
                wound(node.path / "journal" / i, *place)
            forget_last_rows(node.path)
            faults = faults_after(node, acks, 2)
            node.kill()
            return [f"{name}: {f}" for f in faults + faults_after(node, acks, 0)]
        finally:
            if node.alive():
                node.kill()


def released_segments():
    """Headers lost after a clean stop: what was deleted since it came does not come back."""
    with nodes.work_folder("damaged") as folder:
        node = nodes.Node(pathlib.Path(folder) / "archive", OPTIONS)
        try:
            acks = store(node.start().port, range(1, 40), size=40000)
            deleted = sorted(acks)[:10]
            for sop in deleted:
                cli(node, "study", "delete", acks.pop(sop)[0])
            node.stop()
            for i in "01":
                wound(node.path / "journal" / i, 0, 48)
            faults = faults_after(node, acks, 2)
            there = {study["StudyInstanceUID"] for study in nodes.json_lines(cli(node, "study", "list", "--json"))}
            wanted = {study for study, _, _ in acks.values()}
            return faults + [f"released: study {study} came back" for study in sorted(there - wanted)]
        finally:
            if node.alive():
                node.kill()


def main():
    faults = [f for name, place in WOUNDS.items() for f in live_segments(name, place)] + released_segments()
    print("\n".join(faults) or "damaged headers: everything acknowledged is there, copies are kept, nothing came back")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
