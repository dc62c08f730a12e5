#!/usr/bin/python3
"""A volume that vanishes, becomes read-only or fills up in the middle of a drain: the job says why and waits, everything stays readable
that lies on a volume that is there, and the drain ends when the volume is back. In a mount namespace of its own; skipped where that is
not allowed."""
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from witness import missing_from_index, nodes, verify  # noqa: E402
from powercut_sites_test import cli, store  # noqa: E402

INSTANCES, SIZE = 120, 60000
INSIDE = "VT_VOLUME_FAULTS_INSIDE"
WAIT = 60


def mount(*words):
    subprocess.run(["mount", *map(str, words)], check=True, capture_output=True)


def umount(*words):
    subprocess.run(["umount", *map(str, words)], check=True, capture_output=True)


def until(condition, what):
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"in {WAIT} s it did not come to: {what}")


def job(node):
    return nodes.json_lines(cli(node, "job", "list", "--kind", "migrate", "--all", "--json"))[0]


def on(folder):
    return sum(len(names) for _, _, names in os.walk(folder / "objects"))


class Case:
    def __init__(self, work):
        self.real, self.place = work / "real", work / "volume"
        self.real.mkdir()
        self.place.mkdir()
        self.node = nodes.Node(work / "archive", [f"volume.LT.path={self.place}", "volume.LT.stop_free=1", "volume.LT.warn_free=1",
                                                  "jobs.back_off=300ms"])

    def begin(self):
        """A node with instances, and a drain to the volume that has moved the first ones."""
        self.node.start()
        cli(self.node, "volume", "add", "LT")
        self.acks = store(self.node.port, range(1, INSTANCES + 1), size=SIZE)
        cli(self.node, "volume", "drain", "MAIN", "--to", "LT", "--background")
        until(lambda: on(self.place) > 5, "the first instances that moved")

    def waits(self, *words):
        reason = until(lambda: (lambda j: j["state"] == "waiting" and j["reason"])(job(self.node)), "a job that waits")
        assert any(word in reason for word in words), reason
        print(f"ok: {reason}", flush=True)

    def ends(self):
        until(lambda: job(self.node)["state"] == "done", "the end of the drain")
        faults = missing_from_index(self.node.port, self.acks) + verify(self.node)
        assert not faults, faults[:5]
        left, there = on(self.node.path), on(self.place)
        assert (left, there) == (0, INSTANCES), (left, there)


def vanishes(case):
    mount("--bind", case.real, case.place)
    case.begin()
    umount("-l", case.place)
    case.waits("away", "LT")
    status = subprocess.run([*case.node.cli("volume", "list", "--json").args], capture_output=True, text=True, check=True).stdout
    assert '"away"' in status, status
    mount("--bind", case.real, case.place)
    case.ends()
    umount("-l", case.place)


def read_only(case):
    mount("--bind", case.real, case.place)
    case.begin()
    until(lambda: subprocess.run(["mount", "-o", "remount,bind,ro", str(case.place)], capture_output=True, check=False).returncode == 0,
          "a mount that is read-only")
    case.waits("Read-only", "read-only")
    assert not missing_from_index(case.node.port, case.acks), "all is found"
    mount("-o", "remount,bind,rw", case.place)
    case.ends()
    umount("-l", case.place)


def fills_up(case):
    mount("-t", "tmpfs", "-o", f"size={INSTANCES * SIZE // 2}", "tmpfs", case.place)
    case.begin()
    case.waits("full", "No space", "no space")
    assert on(case.node.path) > 0 and on(case.node.path) + on(case.place) >= INSTANCES
    assert not verify(case.node), "nothing is one too many"
    mount("-o", f"remount,size={INSTANCES * SIZE * 3}", case.place)
    case.ends()
    case.node.stop()
    umount(case.place)


def main():
    if os.environ.get(INSIDE) is None:
        inside = dict(os.environ, **{INSIDE: "1"})
        can = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0 and os.geteuid() == 0
        if not can:
            print("a mount namespace of its own is not allowed here")
            return 77
        return subprocess.run(["unshare", "--mount", sys.executable, __file__], env=inside, check=False).returncode
    status = 0
    with tempfile.TemporaryDirectory(prefix="vitrine-volume-faults-", dir="/var/tmp", ignore_cleanup_errors=True) as folder:
        for act in (vanishes, read_only, fills_up):
            work = pathlib.Path(folder, act.__name__)
            work.mkdir()
            case = Case(work)
            try:
                act(case)
                print(f"ok: {act.__name__}", flush=True)
            except (AssertionError, RuntimeError, OSError, subprocess.SubprocessError) as e:
                print(f"FAULT: {act.__name__}: {e} {case.node.lines[-3:]}", flush=True)
                status = 1
            finally:
                if case.node.alive():
                    case.node.kill()
    return status


if __name__ == "__main__":
    sys.exit(main())
