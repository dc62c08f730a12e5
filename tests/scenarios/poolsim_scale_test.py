#!/usr/bin/python3
"""The pool simulator with 10,000 VMs on 62 hosts: every running guest listens, the whole state is one reply, and a change
is told at once without going through the rest."""
import http.client
import pathlib
import re
import socket
import sys
import time
import unittest
import xmlrpc.client

from simulator import Simulator, value, wait


class Large(Simulator):
    def setUp(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.guest_port = probe.getsockname()[1]
        self.options = ["--hosts", "62", "--spares", "2", "--vms", "10000", "--pace", "0.02", "--guest-port", str(self.guest_port)]
        before = time.monotonic()
        super().setUp()
        self.started = time.monotonic() - before

    def raw(self, session, method, *args):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", "/", xmlrpc.client.dumps((session, *args), method), {"Content-Type": "text/xml"})
        body = connection.getresponse().read()
        connection.close()
        return body

    def test_ten_thousand_vms(self):
        proxy = self.plain()
        session = value(proxy.session.login_with_password("root", "vitrine"))
        self.assertLess(self.started, 10)
        state = self.raw(session, "event.from", ["VM", "VM_guest_metrics"], "", 1.0)
        self.assertEqual(state.count(b"<value>vm</value>"), 10000 + 62 + 2)
        token = re.search(rb"<name>token</name><value>([0-9,]+)</value>", state).group(1).decode()
        vm = value(proxy.VM.get_by_name_label(session, "ws-9999"))[0]
        value(proxy.VM.set_name_description(session, vm, "seen"))
        before = time.monotonic()
        reply = self.raw(session, "event.from", ["VM"], token, 5.0)
        self.assertLess(time.monotonic() - before, 1)
        self.assertLess(len(reply), 100000)
        self.assertIn(b"seen", reply)
        memory = int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.process.pid}/status").read_text()).group(1))
        self.assertLess(memory, 1500000)   # a sanitizer multiplies it

    def test_the_last_guest_listens_and_a_whole_host_is_evacuated(self):
        x = self.login().xenapi
        vm = x.VM.get_by_name_label("ws-10000")[0]
        address = x.VM_guest_metrics.get_networks(x.VM.get_guest_metrics(vm))["0/ip"]
        socket.create_connection((address, self.guest_port), timeout=5).close()
        host = x.VM.get_resident_on(vm)
        self.assertGreater(len(x.host.get_resident_VMs(host)), 90)
        x.host.disable(host)
        x.host.evacuate(host)
        self.assertEqual(len(x.host.get_resident_VMs(host)), 1)
        wait(lambda: x.VM.get_power_state(vm) == "Running")


if __name__ == "__main__":
    sys.exit(unittest.main(warnings="ignore"))
