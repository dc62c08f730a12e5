#!/usr/bin/python3
"""A journal whose header is damaged between a crash and the next start: what was acknowledged is there all the same, the log says so
loudly, a copy of the segment as it was lies beside it. Neither do records that were done with long ago come back. Of a record that
is damaged itself the instance is named, and all behind it is there."""
import pathlib
import re
import sqlite3
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from powercut_sites_test import HEADER, RECORD, cli, store  # noqa: E402
from witness import load, missing_from_disk, missing_from_index, nodes, read_acks, verify  # noqa: E402

OPTIONS = ["archive.journal_segment=1M"]
DEADLINE, TRIES = 60, 10
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


def records_of(segment):
    """(sequence, up to which number all was synced before it, offset, size of the body) in order, up to where they end."""
    data, at, before = segment.read_bytes(), HEADER, None
    while at + RECORD.size < len(data):
        size, kind, unsynced, sequence, _ = RECORD.unpack_from(data, at)
        if kind == 0 or (before and sequence != before + 1):
            return
        yield sequence, sequence - unsynced, at, size
        before, at = sequence, at + (RECORD.size + size + 7) // 8 * 8


def applied_of(path):
    """The number up to which the index has all; 0: even its tables are in the log."""
    index = sqlite3.connect(f"file:{path}/index.db?mode=ro&immutable=1", uri=True)
    try:
        return index.execute("select value from meta where key='applied'").fetchone()[0]
    except sqlite3.OperationalError:
        return 0
    finally:
        index.close()


def synced_record(path, acks):
    """Of the segment written last, a record that the index does not have, and one behind it proves: (segment, offset of its last
    byte, SOP Instance UID)."""
    segment = max((path / "journal" / i for i in "01"), key=lambda s: int.from_bytes(s.read_bytes()[8:16], "little"))
    applied, records, data = applied_of(path), list(records_of(segment)), segment.read_bytes()
    proved = max((synced for _, synced, _, _ in records), default=0)
    fit = []
    for sequence, _, at, size in records:
        if applied < sequence <= proved:
            named = [sop for sop in acks if sop.encode() in data[at:at + RECORD.size + size]]
            if named:
                fit.append((segment, at + RECORD.size + size - 1, max(named, key=len)))
    return fit[len(fit) // 2] if fit else None


def damaged_record():
    """A bit of an acknowledged record turned after a crash, and its object lost: that one is named, the others are there."""
    with nodes.work_folder("damaged") as folder:
        folder = pathlib.Path(folder)
        node, acks, found = nodes.Node(folder / "archive", OPTIONS), {}, None
        try:
            for _ in range(TRIES):
                acks |= crashed_ingest(node.start(), folder)
                forget_last_rows(node.path)
                found = synced_record(node.path, acks)
                if found:
                    break
            if not found:
                return [f"no record to damage after {TRIES} crashes"]
            segment, at, sop = found
            wound(segment, at, 1)
            pathlib.Path(nodes.object_files(node.path)[sop][0]).unlink()
            del acks[sop]
            faults = faults_after(node, acks, 1)
            if not any("instance.corrupt" in line and sop in line for line in node.lines):
                faults.append(f"the log does not name {sop}: {node.lines}")
            node.kill()
            return [f"record: {f}" for f in faults + faults_after(node, acks, 0)]
        finally:
            if node.alive():
                node.kill()


def main():
    faults = [f for name, place in WOUNDS.items() for f in live_segments(name, place)] + released_segments() + damaged_record()
    print("\n".join(faults) or "damaged headers and records: everything acknowledged is there or named, copies are kept, nothing came back")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
