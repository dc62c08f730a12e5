#!/usr/bin/python3
"""Power cuts at the answers of an ingest: the node starts on what was synced, and every instance acknowledged by then is there,
byte for byte, with `vitrine verify` content.

    powercut_test.py                sampled answers, then the mutations (short form, ./check)
    powercut_test.py --long         every answer, strict and kinder cuts
    powercut_test.py --mutate NAME  counts the syncs of that class, or of the stack that holds that text, as not made; passes
                                    when the test notices (--list shows classes and call sites with their counts)
    powercut_test.py --each         the same for every call site in turn; says which nobody notices
"""
import argparse
import concurrent.futures
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from powercut import LOGS, Disk  # noqa: E402
from witness import load, missing_from_disk, missing_from_index, nodes, read_acks, verify  # noqa: E402
from rawdicom import CT as CT_CLASS  # noqa: E402
from rawdicom import EXPLICIT, Association, comment_of, elements_of, instance, text, us  # noqa: E402

SHIM = os.environ.get("VT_SHIM") or str(nodes.BIN / "libpowercut.so")
POINTS = 30
TINY, CT, VERSIONED = 900, 120, 40
# The smallest segments, so that the journal turns over several times within the ingest.
OPTIONS = os.environ.get("VT_POWERCUT_OPTIONS", "archive.journal_segment=1M").split()
WORKERS = 2


class Answers:
    """SOP Instance UIDs of C-STORE answers of success, out of the bytes on each socket."""
    def __init__(self):
        self.streams = {}

    def closed(self, fd):
        self.streams.pop(fd, None)

    def take(self, fd, data, whole):
        stream = self.streams.get(fd, b"") + data + bytes(whole - len(data))
        found = []
        while len(stream) >= 6:
            size = int.from_bytes(stream[2:6], "big")
            if len(stream) < 6 + size:
                break
            if stream[0] == 4:
                found += self.stored(stream[6:6 + size])
            stream = stream[6 + size:]
        self.streams[fd] = stream
        return found

    @staticmethod
    def stored(body):
        size = int.from_bytes(body[:4], "big")
        if len(body) < 6 or body[5] != 3:
            return []
        values = {tag & 0xFFFF: v for tag, v in elements_of(body[6:4 + size], implicit=True).items()}
        if us(values, 0x0100) == 0x8001 and us(values, 0x0900) == 0:
            return [text(values, 0x1000)]
        return []


def send_versions(port, acks):
    """Each instance three times: new, identical, with other attributes. acks: SOP -> (study, series, checksums by answer)."""
    study, series = "1.2.826.21", "1.2.826.22"
    with Association(port, contexts=[(CT_CLASS, [EXPLICIT])]) as a:
        for name in ("First^Name", "First^Name", "Second^Name"):
            for number in range(1, VERSIONED + 1):
                sop = f"1.2.826.23.{number}"
                pixels = bytes(200000 if number % 4 == 0 else 400)
                data = instance(sop, study, series, CT_CLASS, patient_name=name, number=number, pixels=pixels, rows=20)
                status, values = a.store(CT_CLASS, sop, data)
                if status != 0:
                    raise RuntimeError(f"{name} of {sop} was answered {status:04X} {comment_of(values)}")
                acks.setdefault(sop, (study, series, []))[2].append(zlib.crc32(data))


def record(folder):
    """An ingest under the shim; (archive folder, trace, what the clients were told)."""
    archive, trace = folder / "archive", folder / "trace"
    archive.mkdir()
    node = nodes.Node(archive, OPTIONS, {"LD_PRELOAD": SHIM, "VT_SHIM_ROOT": str(archive), "VT_SHIM_TRACE": str(trace)})
    acks = {}
    node.start()
    try:
        for run, what in enumerate((("tiny", 4, TINY // 3), ("ct", 3, CT), ("tiny", 16, TINY * 2 // 3)), 1):
            name, associations, count = what
            file = folder / f"acks{run}"
            one = load(node.port, file, "--set", name, "-c", associations, "--count", count, "--run", run)
            said = one.communicate(timeout=300)[0]
            if one.returncode != 0:
                raise RuntimeError(f"the ingest failed: {said} {node.lines[-5:]}")
            acks.update({sop: (study, series, [crc]) for sop, (study, series, crc) in read_acks(file).items()})
            if run == 1:
                send_versions(node.port, acks)
    finally:
        if node.alive():
            node.kill()        # not stopped: a clean end would sync what the cuts shall not find
    return archive, trace, acks


class Judge:
    """Starts the node on what a cut left and counts what is missing."""
    def __init__(self, folder, acks, thorough):
        self.folder, self.acks, self.thorough = folder, acks, thorough
        self.count, self.lock = 0, threading.Lock()

    def faults(self, left, told, seed):
        expected = {}
        for sop in set(told):
            study, series, crcs = self.acks[sop]
            expected[sop] = study, series, set(crcs[:told.count(sop)]) if len(crcs) > 1 else crcs[0]
        node = nodes.Node(left, OPTIONS)
        try:
            node.start()
            faults = missing_from_index(node.port, expected) if expected else []
            faults += verify(node) if self.thorough else []
            node.stop()
            faults += missing_from_disk(left, expected)
        except (RuntimeError, OSError) as e:
            faults = [str(e)]
        finally:
            if node.alive():
                node.kill()
            shutil.rmtree(left, ignore_errors=True)
        with self.lock:
            self.count += 1
        return [f"cut after {len(told)} answers{'' if seed is None else f' (seed {seed})'}: {f}" for f in faults]


def points_of(archive, trace, wanted):
    """Numbers of the answers to cut at: all, or a sample that holds the last."""
    disk, answers, count = Disk(archive), Answers(), 0
    for kind, fd, data, whole in disk.replay(trace):
        if kind == "answer":
            count += len(answers.take(fd, data, whole))
        elif kind == "close":
            answers.closed(fd)
    gaps = disk.differences(archive)
    if gaps:
        raise RuntimeError("the shim missed something: " + "; ".join(gaps[:5]))
    if wanted is None or wanted >= count:
        return set(range(1, count + 1)), count, disk.seen
    return set(random.sample(range(1, count), wanted - 1)) | {count}, count, disk.seen


def cuts(archive, trace, folder, points, seeds, ignore=None):
    """Leaves a tree for each point and seed: yields (tree, instances told by then, seed)."""
    disk, answers, told, made = Disk(archive, ignore), Answers(), [], 0
    for kind, fd, data, whole in disk.replay(trace):
        if kind == "close":
            answers.closed(fd)
        if kind != "answer":
            continue
        for sop in answers.take(fd, data, whole):
            told.append(sop)
            if len(told) not in points:
                continue
            for seed in seeds:
                made += 1
                left = pathlib.Path(folder, f"cut{made}")
                disk.leave(left, seed * 1000003 + len(told) if isinstance(seed, int) else seed)
                yield left, list(told), seed


def judge_all(archive, trace, folder, acks, points, seeds, thorough=True, ignore=None, enough=None):
    """Faults of all cuts; ends at `enough` faults."""
    judge, faults, waiting = Judge(folder, acks, thorough), [], set()
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        for left, told, seed in cuts(archive, trace, folder, points, seeds, ignore):
            waiting.add(pool.submit(judge.faults, left, told, seed))
            while len(waiting) >= WORKERS + 1:
                done, waiting = concurrent.futures.wait(waiting, return_when=concurrent.futures.FIRST_COMPLETED)
                faults += [f for one in done for f in one.result()]
            if enough and len(faults) >= enough:
                break
        faults += [f for one in waiting for f in one.result()]
    return faults, judge.count


def lines_of(stack):
    """The frames of ours as function and line."""
    out = []
    for frame in stack.splitlines():
        program, _, offset = frame.rpartition("+")
        if program.rpartition("/")[2].startswith("vitrine"):
            # the address returned to: one byte back is the call
            said = subprocess.run(["addr2line", "-f", "-s", "-e", program, hex(int(offset, 16) - 1)], capture_output=True,
                                  text=True, check=False).stdout.split()
            out.append(f"{said[0]} {re.sub(r' .*', '', said[1])}" if len(said) > 1 else frame)
    return out


def show_sites(seen):
    for (name, stack), count in sorted(seen.items()):
        print(f"{name:16} {count:6}  " + " < ".join(lines_of(stack)[:6]))


def mutated(name):
    """Ignores a class ("journal-file") or the call sites whose functions hold the word."""
    known = {}

    def ignore(kind, stack):
        if kind == name:
            return True
        if stack not in known:
            known[stack] = any(name in line for line in lines_of(stack))
        return known[stack]
    return ignore


def each_site(archive, trace, left, acks, points, seen):
    """Mutates call site by call site: the innermost function of ours, with the line that called it."""
    sites = {}
    for kind, stack in seen:
        sites.setdefault((kind, " < ".join(lines_of(stack)[:5])), set()).add(stack)
    unnoticed = 0
    for (kind, words), stacks in sorted(sites.items()):
        faults, made = judge_all(archive, trace, left, acks, points, (None, LOGS, 1), ignore=lambda _, s, w=stacks: s in w, enough=1)
        unnoticed += not faults
        print(f"{'red ' if faults else 'GREEN'} {kind}: {words}" + (f"\n      {faults[0]}" if faults else f" ({made} cuts)"), flush=True)
    return 1 if unnoticed else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--mutate", action="append", default=[])
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--each", action="store_true")
    parser.add_argument("--points", type=int, default=POINTS)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    random.seed(options.seed)
    print(f"seed {options.seed}", flush=True)
    with nodes.work_folder("powercut") as work, tempfile.TemporaryDirectory(prefix="vitrine-cut-", dir="/dev/shm") as left:
        archive, trace, acks = record(pathlib.Path(work))
        points, count, seen = points_of(archive, trace, None if options.long else options.points)
        print(f"{count} answers, {sum(seen.values())} syncs at {len(seen)} places, trace "
              f"{trace.stat().st_size >> 20} MB", flush=True)
        heard = sum(len(crcs) for _, _, crcs in acks.values())
        if count != heard:
            print(f"the node answered {count} times, the clients heard {heard}")
            return 1
        if options.list:
            show_sites(seen)
            return 0
        if options.each:
            return each_site(archive, trace, left, acks, points, seen)
        for name in options.mutate:
            faults, made = judge_all(archive, trace, left, acks, points, (None, LOGS, 1), ignore=mutated(name), enough=1)
            if not faults:
                print(f"nobody noticed {made} cuts without the syncs '{name}'")
                return 1
            print(f"without '{name}': {faults[0]}", flush=True)
        if options.mutate:
            return 0
        seeds = (None, LOGS, 1) if not options.long else (None, LOGS, 1, 2)
        faults, made = judge_all(archive, trace, left, acks, points, seeds)
        print("\n".join(faults[:20]) or f"{made} power cuts, {count} instances acknowledged, none lost")
        return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
