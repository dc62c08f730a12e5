#!/usr/bin/python3
"""The power-cut model itself: what survives a cut and what does not, told by a small program under the shim whose every call
is known, before the node is judged by it."""
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from powercut import Disk  # noqa: E402

SHIM = os.environ.get("VT_SHIM") or str(pathlib.Path(os.environ.get("VT_BIN_DIR", "build/release/bin")) / "libpowercut.so")
TOY = r'''
import os, socket, sqlite3, sys
root = sys.argv[1]
folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
here, there = socket.socketpair()
def say(word):
    here.send(word.encode())
def make(name, data):
    fd = os.open(os.path.join(root, name), os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(fd, data)
    return fd
a = make("a", b"one")
say("unsynced")
os.fdatasync(a)
say("data synced, name not")
os.fsync(folder)
say("a durable")
os.pwrite(a, b"two", 3)
say("tail unsynced")
os.fdatasync(a)
os.rename(os.path.join(root, "a"), os.path.join(root, "b"))
say("rename unsynced")
os.fsync(folder)
say("b durable")
os.ftruncate(a, 1)
say("cut unsynced")
os.sync()
say("cut durable")
os.mkdir(os.path.join(root, "d"))
c = make("d/c", b"x" * 40000)
os.fdatasync(c)
dfd = os.open(os.path.join(root, "d"), os.O_RDONLY)
os.fsync(dfd)
say("folder without its own name")
os.fsync(folder)
say("c durable")
os.mkdir(os.path.join(root, "in")); os.mkdir(os.path.join(root, "out"))
os.fsync(folder)
e = make("in/e", b"e" * 9); os.fdatasync(e)
ins = os.open(os.path.join(root, "in"), os.O_RDONLY)
os.fsync(ins)
os.mkdir(os.path.join(root, "out/deep"))
os.rename(os.path.join(root, "in/e"), os.path.join(root, "out/deep/e"))
say("moved, unsynced")
os.fsync(ins)
say("moved, one side synced")
db = sqlite3.connect(os.path.join(root, "t.db"), isolation_level=None)
db.execute("pragma journal_mode=wal"); db.execute("pragma synchronous=full")
db.execute("create table t(x)"); db.execute("insert into t values (42)")
say("row durable")
db.execute("pragma synchronous=normal"); db.execute("insert into t values (43)")
say("row unsynced")
os._exit(0)
'''


def rows(folder):
    import sqlite3
    db = sqlite3.connect(folder / "t.db")
    try:
        return [r[0] for r in db.execute("select x from t order by x")]
    finally:
        db.close()


def text(folder, name):
    path = folder / name
    return path.read_bytes() if path.exists() else None


EXPECTED = {
    "unsynced": lambda f: text(f, "a") is None,
    "data synced, name not": lambda f: text(f, "a") is None,
    "a durable": lambda f: text(f, "a") == b"one",
    "tail unsynced": lambda f: text(f, "a") == b"one",
    "rename unsynced": lambda f: text(f, "a") == b"onetwo" and text(f, "b") is None,
    "b durable": lambda f: text(f, "b") == b"onetwo" and text(f, "a") is None,
    "cut unsynced": lambda f: text(f, "b") == b"onetwo",
    "cut durable": lambda f: text(f, "b") == b"o",
    "folder without its own name": lambda f: not (f / "d").exists(),
    "c durable": lambda f: text(f, "d/c") == b"x" * 40000,
    "moved, unsynced": lambda f: text(f, "in/e") == b"e" * 9 and not (f / "out/deep").exists(),
    "moved, one side synced": lambda f: text(f, "out/deep/e") == b"e" * 9 and text(f, "in/e") is None,
    "row durable": lambda f: rows(f) == [42],
    "row unsynced": lambda f: rows(f) == [42],
}


def main():
    failed = []
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="vitrine-model-") as work:
        root, trace = pathlib.Path(work, "root"), pathlib.Path(work, "trace")
        root.mkdir()
        subprocess.run([sys.executable, "-c", TOY, str(root)], check=True, timeout=60,
                       env=dict(os.environ, LD_PRELOAD=SHIM, VT_SHIM_ROOT=str(root), VT_SHIM_TRACE=str(trace)))
        disk, left, told = Disk(root), 0, set()
        for kind, _, data, _ in disk.replay(trace):
            if kind != "answer" or data.decode() not in EXPECTED:
                continue
            for seed in (None, 1, 2):
                left += 1
                folder = pathlib.Path(work, f"left{left}")
                disk.leave(folder, seed)
                if seed is None and not EXPECTED[data.decode()](folder):
                    failed.append(f"after '{data.decode()}': {sorted(os.listdir(folder))}")
            told.add(data.decode())
        failed += [f"never told: {word}" for word in EXPECTED if word not in told]
        failed += disk.differences(root)
        lost = Disk(root, ignore=lambda name, stack: name == "root-folder")
        for kind, _, data, _ in lost.replay(trace):
            if kind == "answer" and data == b"b durable":
                lost.leave(pathlib.Path(work, "mutant"))
                if text(pathlib.Path(work, "mutant"), "b") is not None:
                    failed.append("a sync that was ignored counted all the same")
    print("\n".join(failed) or f"{len(told)} moments as expected, the trace agrees with the disk")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
