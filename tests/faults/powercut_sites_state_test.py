#!/usr/bin/python3
"""Power cuts right after what only one sync call protects, beside the ingest: names in staging/, state.db, copies of a damaged
journal, files that are written whole. As powercut_sites_test.py, whose scenarios are about the ingest.

    powercut_sites_state_test.py [NAME]...    the scenarios of that name
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import powercut_sites_test as sites  # noqa: E402
from powercut import LOGS  # noqa: E402
from powercut_sites_test import LARGE, Recording, Turn, all_there, cli, sop_of, store  # noqa: E402
from powercut_test import OPTIONS, SHIM, mutated  # noqa: E402
from witness import nodes  # noqa: E402
from rawdicom import CT, EXPLICIT, Association, instance  # noqa: E402

DEADLINE, ATTEMPTS = 60, 10
MERGES, REFUSED = 3, 500            # so many refused arrivals have the log of state.db (1000 pages) begun again
WOUND = b"\xa5" * 48


class Call:
    """The syncs of that class of file that are made below that function."""
    def __init__(self, name, ends, word):
        self.__name__, self.ends, self.below = name, ends, mutated(word)

    def __call__(self, kind, stack):
        return kind.endswith(self.ends) and self.below(kind, stack)


def until(condition, what):
    deadline = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not within {DEADLINE} s")
        time.sleep(0.02)


def own_file_in_staging(work):
    """Large arrivals for which no file was made ahead: the thread that makes them is at the journal's second segment, which takes
    its time at a first start."""
    for attempt in range(ATTEMPTS):
        folder = work / str(attempt)
        folder.mkdir()
        run = Turn(folder)
        node = run.begin(["archive.journal_segment=64M"]).start()
        acks = store(node.port, range(1, 4), size=LARGE)
        run.cut(node)
        try:
            run.find("sync_staging")
        except RuntimeError as e:           # it was quicker: each name was covered by the making of files
            print(e, flush=True)
            continue
        return run, lambda left: all_there(left / "archive", {sop: acks[sop] for sop in run.told})
    raise RuntimeError(f"{ATTEMPTS} times each name was covered by another sync before an answer")


def file_made_ahead(work):
    """Large arrivals that found a file made ahead."""
    run = Recording(work)
    node = run.begin().start()
    acks = store(node.port, [1], size=LARGE)
    staging = run.archive / "staging"
    until(lambda: any(staging.iterdir()), "files made ahead")
    time.sleep(0.5)                 # the last of them have their names, then the names are synced, then they are given out
    acks |= store(node.port, range(2, 5), size=LARGE)
    run.cut(node)
    return run, lambda left: all_there(left / "archive", acks)


def decisions(path, wanted):
    """Sentences on merges that nobody knows of any more."""
    try:
        with nodes.Node(path, OPTIONS) as node:
            said = cli(node, "patient", "log", "--json")
    except (RuntimeError, OSError) as e:
        return [str(e)]
    found = len(nodes.json_lines(said))
    return [] if found == wanted else [f"the log of patients has {found} entries, not {wanted}"]


def merge(node, number):
    cli(node, "patient", "merge", f"P{2 * number}", f"P{2 * number + 1}", "--reason", "registered twice")


def decision(work):
    """What an administrator decided last is in the log of state.db alone."""
    run = Recording(work)
    node = run.begin().start()
    store(node.port, range(2, 2 * MERGES + 2))
    for number in range(1, MERGES + 1):
        merge(node, number)
    run.cut(node)
    return run, lambda left: decisions(left / "archive", MERGES)


def refuse(port, count):
    """One UID again and again with other pixels: a row in state.db each."""
    sop, study, series = sop_of(1000)
    with Association(port, contexts=[(CT, [EXPLICIT])]) as a:
        for number in range(count + 1):
            data = instance(sop, study, series, CT, patient_id="P1000", pixels=number.to_bytes(4, "little") * 100, rows=20)
            status, _ = a.store(CT, sop, data)
            if status != (0 if number == 0 else 0xC010):
                raise RuntimeError(f"arrival {number} of {sop} was answered {status:04X}")


def state_log_begun_again(work):
    """Decisions that a checkpoint moved from the log of state.db to the file, and a log that later rows began again."""
    run = Recording(work)
    with nodes.Node(run.archive, []) as node:       # a journal that is never cut meanwhile
        store(node.port, range(2, 2 * MERGES + 2))
    node = run.begin(["archive.journal_segment=32M"]).start()
    for number in range(1, MERGES + 1):
        merge(node, number)
    refuse(node.port, REFUSED)
    run.cut(node)
    return run, lambda left: decisions(left / "archive", MERGES)


def damaged_segment(work):
    """The copy that was kept of a segment before it is used again."""
    run = Recording(work)
    with nodes.Node(run.archive, OPTIONS) as node:
        until(lambda: len({s.stat().st_size for s in run.archive.glob("journal/?")}) == 1 and
              (run.archive / "journal/1").exists(), "both segments")
    with open(run.archive / "journal/1", "r+b") as file:
        file.write(WOUND)
    wounded = (run.archive / "journal/1").read_bytes()
    node = run.begin().start()
    run.cut(node)

    def check(left):
        copy = left / "archive/journal/1.damaged"
        if not copy.exists():
            return ["no copy is there"]
        return [] if copy.read_bytes() == wounded else ["the copy is another"]
    return run, check


def keys_learnt(work):
    """The keys of a pool's hosts, learnt at first use: a file that is written whole."""
    run = Recording(work, "pool")
    run.archive.mkdir()
    shutil.copytree(run.root, run.before)
    password = work / "password"
    password.write_text("vitrine\n")
    password.chmod(0o600)
    for _ in range(ATTEMPTS):
        port = nodes.free_port()
        pool = subprocess.Popen([str(nodes.BIN / "vitrine-poolsim"), "--port", str(port), "--hosts", "1", "--vms", "1",
                                 "--guest-port", "0", "--tls"], stderr=subprocess.PIPE, text=True)
        if "ready" in pool.stderr.readline():
            break
        pool.wait()
    try:
        done = subprocess.run([str(nodes.BIN / "vitrine"), "-o", f"pool.url=https://127.0.0.1:{port}", "-o", "pool.user=root",
                               "-o", f"pool.password_file={password}", "-o", f"pool.state={run.archive}", "vm", "list"],
                              env=dict(os.environ, LD_PRELOAD=SHIM, VT_SHIM_ROOT=str(run.root), VT_SHIM_TRACE=str(run.trace)),
                              capture_output=True, text=True, timeout=DEADLINE, check=False)
    finally:
        pool.kill()
        pool.wait()
    if done.returncode != 0:
        raise RuntimeError(f"vm list: {done.stderr}")
    run.end = run.trace.stat().st_size
    wanted = json.loads((run.archive / "members.json").read_text())

    def check(left):
        try:
            found = json.loads((left / "pool/members.json").read_text())
        except (OSError, ValueError) as e:
            return [f"keys: {e}"]
        return [] if found == wanted else ["other keys are there"]
    return run, check


def state_log(kind, stack):
    """SQLite's sync of the log of state.db, with each transaction."""
    return kind == "state-log"


def state_checkpoint(kind, stack):
    """SQLite's sync of state.db before its log is begun again."""
    return kind == "state"


sites.SEEDS[state_checkpoint] = LOGS
SCENARIOS = {
    own_file_in_staging: ["sync_staging"],
    file_made_ahead: ["make_batch"],
    decision: [state_log],
    state_log_begun_again: [state_checkpoint],
    damaged_segment: [Call("the copy", "-file", "copy_bytes"), Call("the copy's name", "-folder", "keep_copy")],
    keys_learnt: [Call("the file's bytes", "-file", "vt_io_write_file"), Call("the file's name", "-folder", "vt_io_write_file")],
}


if __name__ == "__main__":
    sys.exit(sites.main(SCENARIOS))
