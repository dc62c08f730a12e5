#!/usr/bin/python3
"""Power cuts right after what only a single sync call protects: the answer is kept, and with that call counted as not made it is
not. One scenario for each call that a busy ingest does not show, since others cover it there a moment later.

    powercut_sites_test.py [NAME]...    the scenarios of that name
"""
import pathlib
import shutil
import sqlite3
import struct
import sys
import tempfile
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from powercut import LOGS, Disk  # noqa: E402
from powercut_test import OPTIONS, SHIM, Answers, lines_of, mutated  # noqa: E402
from witness import load, missing_from_disk, missing_from_index, nodes, read_acks, verify  # noqa: E402
from rawdicom import CT, EXPLICIT, Association, comment_of, instance, part10  # noqa: E402

ROOT = "1.2.826.40"
TURN, BULK = 30, 60000  # so many of so many bytes: the journal's first segment of 1 MiB is full, and the second begun
LARGE = 300000          # through staging
SECTOR, STEP = 512, 24
DAY = "objects/2024/01/02"                                     # of rawdicom's instances
HEADER, RECORD, ABORT = 4096, struct.Struct("<IHHQQ"), 6       # archive/journal.c, journal.h


def sop_of(number):
    return f"{ROOT}.{number}", f"{ROOT}.9.{number}", f"{ROOT}.8.{number}"


def store(port, numbers, name="First^Name", size=400):
    """One study each, of a patient each. What was acknowledged: SOP -> (study, series, checksum)."""
    acks = {}
    with Association(port, contexts=[(CT, [EXPLICIT])]) as a:
        for number in numbers:
            sop, study, series = sop_of(number)
            data = instance(sop, study, series, CT, patient_id=f"P{number}", patient_name=name, pixels=bytes(size), rows=20)
            status, values = a.store(CT, sop, data)
            if status != 0:
                raise RuntimeError(f"{sop} was answered {status:04X} {comment_of(values)}")
            acks[sop] = study, series, zlib.crc32(data)
    return acks


def cli(node, *words):
    done = node.cli(*words)
    if done.returncode != 0:
        raise RuntimeError(f"vitrine {' '.join(map(str, words))}: {(done.stdout + done.stderr).strip()[-300:]}")
    return done.stdout


class Recording:
    """One run of the node under the shim; the cut comes when `cut` is called."""
    def __init__(self, work, archive="archive"):
        self.root, self.trace, self.end = work / "root", work / "trace", None
        self.root.mkdir()
        self.before, self.archive = work / "before", self.root / archive

    def begin(self, options=OPTIONS):
        """What lies there by now is durable."""
        shutil.copytree(self.root, self.before)
        node = nodes.Node(self.archive, options,
                          {"LD_PRELOAD": SHIM, "VT_SHIM_ROOT": str(self.root), "VT_SHIM_TRACE": str(self.trace)})
        if self.archive.exists() and not any(self.archive.iterdir()):       # the node shall make it
            self.archive.rmdir()
            for parent in self.archive.parents:
                if parent == self.root:
                    break
                parent.rmdir()
        return node

    def cut(self, node):
        self.end = self.trace.stat().st_size
        node.kill()

    def leave(self, folder, seed, ignore=None):
        disk = Disk(self.root, ignore)
        disk.load(self.before)
        for _ in disk.replay(self.trace, self.end):
            pass
        disk.leave(folder, seed)
        return disk.ignored


def all_there(path, acks):
    """Sentences on what is missing when a node starts there."""
    node = nodes.Node(path, OPTIONS)
    try:
        node.start()
        faults = missing_from_index(node.port, acks) + verify(node)
        node.stop()
        return faults + missing_from_disk(path, acks)
    except (RuntimeError, OSError) as e:
        return [str(e)]
    finally:
        if node.alive():
            node.kill()


# ---- scenarios: each records, and returns what judges the tree that a cut left ----

def first_start(work):
    """The first answer of an archive that had no folder before. Small ones only: a rename makes the folders above last."""
    run = Recording(work, "var/archive")
    node = run.begin().start()
    acks = store(node.port, range(1, 4))
    run.cut(node)
    return run, lambda left: all_there(left / "var/archive", acks)


def refused_then_stored(node):
    """Instances that failed behind the journal, and came again with other bytes. Of sizes so that for some the record that takes
    the failure back begins in the sector behind what it takes back."""
    day, numbers, acks = node.path / DAY, range(1, 1 + SECTOR // STEP), {}
    with Association(node.port, contexts=[(CT, [EXPLICIT])]) as a:
        for number in numbers:
            sop, study, series = sop_of(number)
            (day / study).symlink_to("nowhere")         # a folder that cannot be made
            status, _ = a.store(CT, sop, instance(sop, study, series, CT, patient_id=f"P{number}", rows=2,
                                                  pixels=bytes(400 + STEP * number)))
            if status == 0:
                raise RuntimeError(f"{sop} was stored behind a broken link")
            (day / study).unlink()
    for number in numbers:
        acks |= store(node.port, [number], name="Second^Name")
    return acks


class Reached(Exception):
    """The moment of the cut."""


class BeforeReuse(Disk):
    """Ends at the first sync of segment 0 in its second use, of which the sectors from one on got there: `tear`."""
    def begin_sync(self, number, kind, fd, stack):
        node = self.descriptors.get(fd)
        if node and node.path.endswith("journal/0"):
            for _, (_, at, _, data) in node.pending:
                if at == 0 and len(data) > HEADER and struct.unpack_from("<QQ", data)[1] > 1:
                    self.fresh = data
                    raise Reached
        super().begin_sync(number, kind, fd, stack)

    @staticmethod
    def torn_off(old):
        """Where the sector begins that holds a record of an abort but nothing of the one before."""
        at = HEADER
        while at + RECORD.size < len(old):
            size, kind, _, _, _ = RECORD.unpack_from(old, at)
            end = at + (RECORD.size + size + 7) // 8 * 8
            if kind == ABORT and (at % SECTOR == 0 or at // SECTOR != (end - 1) // SECTOR):
                return (end - 1) // SECTOR * SECTOR
            if kind == 0:
                break
            at = end
        raise RuntimeError("no record of an abort lies at a sector's edge")

    def tear(self, path, old):
        at = self.torn_off(old)
        with open(path, "r+b") as file:
            file.seek(at)
            file.write(self.fresh[at:])


class Reuse(Recording):
    def leave(self, folder, seed, ignore=None):
        """The cut comes while the first group of the second use is written."""
        before, disk, answers, self.told = b"", BeforeReuse(self.root, ignore), Answers(), []
        disk.load(self.before)
        try:
            for kind, fd, data, whole in disk.replay(self.trace, self.end):
                node = disk.node_of(str(self.archive / "journal/0"))
                if kind == "answer":
                    self.told += answers.take(fd, data, whole)
                elif kind == "close":
                    answers.closed(fd)
                elif node and struct.unpack("<QQ", node.durable.read(0, 16))[1] == 1:
                    before = node.durable.read(0, node.durable.size)
            raise RuntimeError("segment 0 was not used again")
        except Reached:
            pass
        disk.leave(folder, seed)
        if seed is None:
            disk.tear(folder / "archive/journal/0", before)
        return disk.ignored


def segment_used_again(work):
    """Of a segment's second use the end came to the disk, not the beginning: what is left of its first use must not be done again."""
    run = Reuse(work)
    (run.archive / DAY).mkdir(parents=True)
    node = run.begin().start()
    acks = refused_then_stored(node) | store(node.port, range(101, 101 + 2 * TURN), size=BULK)
    run.cut(node)
    return run, lambda left: all_there(left / "archive", {sop: acks[sop] for sop in run.told})


class Owing(Disk):
    """Knows while what an ignored sync was to save is not saved by another."""
    owed = ()

    def end_sync(self, number, result):
        began, _, node, _, _ = self.syncs[number]
        before = self.ignored
        event = super().end_sync(number, result)
        if self.ignored > before:
            self.owed = (node, began)
        return event

    def owes(self):
        return bool(self.owed) and bool(self.owed[0].pending) and self.owed[0].pending[0][0] < self.owed[1]


class Turn(Recording):
    """The cut comes where most was answered between the call of that name and another sync that covers it."""
    def find(self, word):
        disk, answers, told, since, most = Owing(self.root, mutated(word)), Answers(), [], 0, 0
        disk.load(self.before)
        for kind, fd, data, whole in disk.replay(self.trace, self.end):
            if kind == "close":
                answers.closed(fd)
            found = answers.take(fd, data, whole) if kind == "answer" else []
            told += found
            since = since + len(found) if disk.owes() else 0
            if found and since > most:
                most, self.moment, self.told = since, disk.sequence, list(told)
        if most == 0:
            raise RuntimeError(f"nothing was answered between {word} and another sync of the same")

    def leave(self, folder, seed, ignore=None):
        disk = Disk(self.root, ignore)
        disk.load(self.before)
        for _ in disk.replay(self.trace, self.end):
            if disk.sequence >= self.moment:
                break
        disk.leave(folder, seed)
        return disk.ignored


def segment_full(work):
    """A group of arrivals, the first at the end of a segment, the others at the beginning of the next."""
    run = Turn(work)
    node, file = run.begin().start(), work / "acks"
    said = load(node.port, file, "--set", "tiny", "-c", 48, "--count", 3000).communicate(timeout=60)[0]
    run.cut(node)
    acks = read_acks(file)
    if len(acks) != 3000:
        raise RuntimeError(f"the ingest failed: {said}")
    run.find("find_room")
    return run, lambda left: all_there(left / "archive", {sop: acks[sop] for sop in run.told})


def merged(path, pairs):
    """Sentences on studies that do not stand under the patient into which theirs was merged."""
    try:
        with nodes.Node(path, OPTIONS) as node:
            found = {into: len(nodes.json_lines(cli(node, "study", "list", f"PatientID=P{into}", "--json"))) for _, into in pairs}
    except (RuntimeError, OSError) as e:
        return [str(e)]
    return [f"patient P{into} has {count} studies, not 2" for into, count in found.items() if count != 2]


def merge_beside_a_reader(work):
    """A merge is in the index's log alone while someone reads: the second, as the first has what came before synced."""
    run = Recording(work)
    node = run.begin().start()
    store(node.port, range(1, 5))
    reader = sqlite3.connect(run.archive / "index.db", isolation_level=None)
    reader.execute("begin")
    reader.execute("select count(*) from instance").fetchall()
    pairs = [(1, 2), (3, 4)]
    for source, into in pairs:
        cli(node, "patient", "merge", f"P{source}", f"P{into}", "--reason", "registered twice")
    run.cut(node)
    reader.close()
    return run, lambda left: merged(left / "archive", pairs)


def log_begun_again(work):
    """A merge that a checkpoint moved from the index's log to the file, and a log that later stores began again."""
    run = Recording(work)
    node = run.begin().start()
    store(node.port, range(1, 3))
    cli(node, "patient", "merge", "P1", "P2", "--reason", "registered twice")
    store(node.port, range(3, 6))
    run.cut(node)
    return run, lambda left: merged(left / "archive", [(1, 2)])


def reindexed(work):
    """An object that only a reindex found. The merge has state.db's log begun, which syncs the folder once."""
    run = Recording(work)
    with nodes.Node(run.archive, OPTIONS) as node:
        acks = store(node.port, range(1, 4))
    sop, study, series = sop_of(7)
    data = instance(sop, study, series, CT, patient_id="P7")
    (run.archive / "objects" / f"{sop}.dcm").write_bytes(part10(data, EXPLICIT, CT, sop))
    acks[sop] = study, series, zlib.crc32(data)
    node = run.begin().start()
    cli(node, "patient", "merge", "P1", "P2", "--reason", "registered twice")
    cli(node, "reindex")
    run.cut(node)
    return run, lambda left: all_there(left / "archive", acks)


def backup(work):
    """A backup that said it was done."""
    run = Recording(work)
    node = run.begin().start()
    acks = store(node.port, range(1, 4)) | store(node.port, range(4, 6), size=LARGE)
    cli(node, "backup", run.root / "backup")
    run.cut(node)
    return run, lambda left: all_there(left / "backup", acks)


def sqlite_folder(kind, stack):
    """SQLite's sync of the folder in which it begins a log: our folders' names last by it."""
    return kind.endswith("-folder") and "libsqlite3" in stack.splitlines()[0]


def sqlite_checkpoint(kind, stack):
    """SQLite's sync of the index before its log is begun again."""
    return "libsqlite3" in stack.splitlines()[0] and any("checkpoint_locked" in line for line in lines_of(stack))


# What a cut leaves is the strict rule's, but for a log that is begun again: that must have come to the disk before the file.
SEEDS = {sqlite_checkpoint: LOGS}
# The calls that each proves: a word of their call stack.
SCENARIOS = {
    first_start: ["sync_parent", "sync_names", "vt_journal_sync", sqlite_folder],
    segment_full: ["find_room"],
    segment_used_again: ["write_empty"],
    merge_beside_a_reader: ["sync_file"],
    log_begun_again: [sqlite_checkpoint],
    reindexed: ["sync_ready"],
    backup: ["run admin_backup.c"],
}


def judged(scenario, work, words):
    """Faults of the test: answers lost with all syncs made, or none lost without one."""
    work.mkdir()
    run, check = scenario(work)
    faults = []
    with tempfile.TemporaryDirectory(prefix="vitrine-cut-", dir="/dev/shm") as left:
        for seed in (None, LOGS, 1):
            run.leave(pathlib.Path(left, f"whole{seed}"), seed)
            faults += [f"{scenario.__name__} (seed {seed}): {f}" for f in check(pathlib.Path(left, f"whole{seed}"))]
        for word in words:
            name, ignore = (word, mutated(word)) if isinstance(word, str) else (word.__name__, word)
            folder = pathlib.Path(left, name)
            ignored = run.leave(folder, SEEDS.get(word), ignore)
            lost = check(folder)
            print(f"{scenario.__name__} without '{name}' ({ignored} calls): {lost[0] if lost else 'nothing lost'}", flush=True)
            if not lost:
                faults.append(f"{scenario.__name__}: nobody noticed the cut without '{name}'")
    return faults


def main(scenarios):
    wanted = [s for s in scenarios if not sys.argv[1:] or s.__name__ in sys.argv[1:]]
    faults = []
    for scenario in wanted:
        with nodes.work_folder("sites") as work:
            faults += judged(scenario, pathlib.Path(work, "run"), scenarios[scenario])
    print("\n".join(faults) or f"{len(wanted)} scenarios, each call is needed")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(SCENARIOS))
