"""A pool simulator for scenarios: started on a free port, stopped behind each test, with Debian's XenAPI.py to talk to it."""
import os
import pathlib
import socket
import subprocess
import time
import unittest
import xmlrpc.client

from os_xenapi.client import XenAPI

BIN = pathlib.Path(os.environ["VT_BIN_DIR"]) / "vitrine-poolsim"
HOSTS, SPARES = 3, 1


def free_port() -> int:
    """A port that is free on every address the simulator takes."""
    for port in range(20000 + os.getpid() % 10000, 32000):
        sockets = []
        try:
            for last in range(1, HOSTS + SPARES + 1):
                sockets.append(socket.socket())
                sockets[-1].bind((f"127.0.0.{last}", port))
            return port
        except OSError:
            continue
        finally:
            for s in sockets:
                s.close()
    raise RuntimeError("no free port")


def value(reply):
    if reply["Status"] != "Success":
        raise XenAPI.Failure(reply["ErrorDescription"])
    return reply["Value"]


def wait(condition, seconds=10.0, what="the condition"):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        got = condition()
        if got:
            return got
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come true in {seconds} s")


class Simulator(unittest.TestCase):
    options = ["--vms", "12", "--guest-port", "0", "--pace", "0.02"]
    scheme = "http"

    def setUp(self):
        self.port = free_port()
        self.process = subprocess.Popen([BIN, "--port", str(self.port), "--hosts", str(HOSTS), "--spares", str(SPARES),
                                         *self.options], stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.stop)
        self.assertIn("ready", self.process.stderr.readline())

    def stop(self):
        self.process.terminate()
        self.assertEqual(self.process.wait(20), 0)
        self.process.stderr.close()

    def ctl(self, *words):
        return subprocess.run([BIN, "ctl", "--port", str(self.port), *words], check=True, capture_output=True, text=True).stdout

    def url(self, host=0):
        return f"{self.scheme}://127.0.0.{1 + host}:{self.port}"

    def login(self, host=0):
        session = XenAPI.Session(self.url(host))
        session.login_with_password("root", "vitrine", "2.21", "foreign")
        return session

    def plain(self, host=0):
        return xmlrpc.client.ServerProxy(self.url(host))

    def failure(self, code, call, *args):
        with self.assertRaises(XenAPI.Failure) as caught:
            call(*args)
        self.assertEqual(caught.exception.details[0], code, caught.exception.details)
        return caught.exception.details
