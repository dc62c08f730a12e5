#!/usr/bin/python3
"""Power cuts in the middle of a move between volumes, and while second copies are made: whatever moment it is, each instance is there
once the node starts again, whole, and `vitrine verify` finds no fault."""
import os
import pathlib
import random
import shutil
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from powercut import Disk  # noqa: E402
from powercut_sites_test import cli, store  # noqa: E402
from powercut_test import OPTIONS, SHIM  # noqa: E402
from witness import missing_from_index, nodes, verify  # noqa: E402

INSTANCES = 20
POINTS = 5             # cuts of each recording, the last moment among them
SEEDS = (None, 1)       # the strictest cut, and a kinder one


class Linked(Disk):
    """The archive's link volumes/LT leads to the volume, which the recorder does not follow."""

    def real(self, path):
        return os.path.normpath(path.replace(f"{self.root}/archive/volumes/LT", f"{self.root}/long", 1))

    def node_of(self, path):
        return super().node_of(self.real(path))

    def place_of(self, path):
        return super().place_of(self.real(path))


def options(root):
    return [*OPTIONS, f"volume.LT.path={root / 'long'}", "volume.LT.stop_free=1", "volume.LT.warn_free=1", "jobs.back_off=200ms"]


def record(work, more, act):
    """What lies on both volumes before, and the trace of what `act` did: (root, before, trace, acks)."""
    root, before, trace = work / "root", work / "before", work / "trace"
    root.mkdir()
    node = nodes.Node(root / "archive", options(root)).start()
    cli(node, "volume", "add", "LT")
    acks = store(node.port, range(1, INSTANCES // 2)) | store(node.port, range(INSTANCES // 2, INSTANCES + 1), size=150000)
    node.stop()
    (root / "archive/volumes/LT").unlink()          # the next start makes it; it points out of what is copied
    shutil.copytree(root, before)
    node = nodes.Node(root / "archive", [*options(root), *more],
                      {"LD_PRELOAD": SHIM, "VT_SHIM_ROOT": str(root), "VT_SHIM_TRACE": str(trace)}).start()
    act(node)
    end = trace.stat().st_size
    node.kill()
    return root, before, trace, end, acks


def moments(root, before, trace, end):
    """The syncs that ended, by number; a few of them, and the last."""
    disk = Linked(root)
    disk.load(before)
    count = sum(event[0] == "sync" for event in disk.replay(trace, end))
    return count, set(random.sample(range(1, count), min(POINTS - 1, count - 1))) | {count}


def at_rest(node):
    """The job goes on where the cut was."""
    for _ in range(600):
        if not any(f'"{state}"' in cli(node, "job", "list", "--kind", "migrate", "--json") for state in ("waiting", "running")):
            return
        time.sleep(0.05)
    raise RuntimeError("the move never ended")


def faults_of(left, acks):
    node = nodes.Node(left / "archive", options(left))
    try:
        node.start()
        at_rest(node)
        faults = missing_from_index(node.port, acks) + verify(node)
        files = sum(1 for where in ("archive", "long") for path in (left / where / "objects").rglob("*") if path.is_file())
        node.stop()
        return faults, files
    except (RuntimeError, OSError) as e:
        return [str(e)], 0
    finally:
        if node.alive():
            node.kill()


def judge(work, what, recorded, files_allowed):
    root, before, trace, end, acks = recorded
    count, wanted = moments(root, before, trace, end)
    faults, number = [], 0
    for seed in SEEDS:
        disk, seen = Linked(root), 0
        disk.load(before)
        for event in disk.replay(trace, end):
            seen += event[0] == "sync"
            if event[0] != "sync" or seen not in wanted:
                continue
            number += 1
            left = work / f"left{number}"
            disk.leave(left, seed)
            for folder in ("archive", "long"):
                (left / folder / "objects").mkdir(parents=True, exist_ok=True)
            found, files = faults_of(left, acks)
            if files not in files_allowed:
                found.append(f"{files} files")
            faults += [f"{what}, cut after sync {seen} of {count}, seed {seed}: {f}" for f in found]
            shutil.rmtree(left, ignore_errors=True)
    print(f"{what}: {number} cuts, {len(faults)} faults", *faults[:10], sep="\n  ", flush=True)
    return faults


def drained(node):
    cli(node, "volume", "drain", "MAIN", "--to", "LT")


def copied(node):
    for _ in range(200):
        if sum(1 for p in (node.path.parent / "long/objects").rglob("*") if p.is_file()) == INSTANCES:
            return
        time.sleep(0.05)
    raise RuntimeError(f"no copies were made: {cli(node, 'job', 'list', '--all')} {node.lines[-5:]}")


def main():
    random.seed(7)
    faults = []
    with tempfile.TemporaryDirectory(prefix="vitrine-powercut-volumes-", dir="/var/tmp", ignore_cleanup_errors=True) as folder:
        for what, more, act, files in (
                ("a drain to another volume", [], drained, {INSTANCES}),
                ("second copies", ["migrate.COPY.to=LT", "migrate.COPY.keep_copy=yes", "migrate.COPY.arrived_before=1ms"], copied,
                 set(range(INSTANCES, 2 * INSTANCES + 1)))):
            work = pathlib.Path(folder, what.split()[0] + what.split()[-1])
            work.mkdir()
            faults += judge(work, what, record(work, more, act), files)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
