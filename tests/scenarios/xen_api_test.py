#!/usr/bin/python3
"""The pool simulator under npm's xen-api, the client of Xen Orchestra: redirect, records, events, tasks, recovery."""
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

from simulator import BIN, Simulator

HERE = pathlib.Path(__file__).resolve().parent / "xen-api"
WORK = pathlib.Path(os.environ["VT_BIN_DIR"]).resolve().parent / "xen-api"
FILES = ("package.json", "package-lock.json", ".npmrc", "client.mjs")


def install():
    """Beside the build, and again only when the lock file has changed."""
    WORK.mkdir(exist_ok=True)
    lock = WORK / "package-lock.json"
    current = (WORK / "installed").exists() and lock.exists() and lock.read_bytes() == (HERE / "package-lock.json").read_bytes()
    for name in FILES:
        shutil.copy(HERE / name, WORK / name)
    if current:
        return
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=WORK, check=True, timeout=240)
    (WORK / "installed").touch()


class XenApi(Simulator):
    def run_client(self):
        done = subprocess.run(["node", "client.mjs", self.url(1), BIN.resolve(), str(self.port)], cwd=WORK, timeout=200,
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_it_finds_the_master_and_does_its_work(self):
        self.run_client()


class XenApiOverTls(XenApi):
    options = [*Simulator.options, "--tls"]
    scheme = "https"


if __name__ == "__main__":
    install()
    sys.exit(unittest.main(warnings="ignore"))
