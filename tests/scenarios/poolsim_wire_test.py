#!/usr/bin/python3
"""The pool simulator's other wires under clients that others wrote: TLS with a certificate for each host, the console,
the guests that answer, fall silent or refuse."""
import socket
import ssl
import subprocess
import sys
import unittest
import xmlrpc.client

from simulator import HOSTS, Simulator, value, wait


class Encrypted(Simulator):
    options = ["--vms", "3", "--guest-port", "0", "--tls"]
    scheme = "https"

    def test_each_host_has_a_certificate_of_its_own_which_the_pool_knows(self):
        pems = [ssl.get_server_certificate((f"127.0.0.{1 + i}", self.port)) for i in range(HOSTS)]
        self.assertEqual(len(set(pems)), HOSTS)
        context = ssl.create_default_context(cadata=pems[0])
        proxy = xmlrpc.client.ServerProxy(self.url(), context=context)
        session = value(proxy.session.login_with_password("root", "vitrine", "2.21", "foreign"))
        for host, record in value(proxy.host.get_all_records(session)).items():
            index = int(record["address"].rsplit(".", 1)[1]) - 1
            self.assertEqual(value(proxy.host.get_server_certificate(session, host)).strip(), pems[index].strip())
        self.ctl("new-certificate", "host-01")
        self.assertNotEqual(ssl.get_server_certificate(("127.0.0.1", self.port)), pems[0])


class Consoles(Simulator):
    def open(self, path, host=0):
        connection = socket.create_connection((f"127.0.0.{1 + host}", self.port), timeout=10)
        self.addCleanup(connection.close)
        stream = connection.makefile("rwb", buffering=0)
        stream.write(f"CONNECT {path} HTTP/1.0\r\n\r\n".encode())
        status = stream.readline()
        while stream.readline().strip():
            pass
        return status, stream

    def exactly(self, stream, size):
        data = b""
        while len(data) < size:
            data += stream.read(size - len(data)) or self.fail("the console hung up")
        return data

    def picture(self, stream):
        self.assertEqual(self.exactly(stream, 16), bytes.fromhex("00000001" "00000000" "014000c8" "00000000"))
        return self.exactly(stream, 320 * 200 * 4)

    def test_a_console_shows_a_picture_that_answers_to_keys(self):
        session = self.login()
        vm = session.xenapi.VM.get_by_name_label("ws-0001")[0]
        location = session.xenapi.console.get_location(session.xenapi.VM.get_consoles(vm)[0])
        path = "/" + location.split("/", 3)[3]
        self.assertIn(b" 401 ", self.open(path + "&session_id=x")[0])
        self.assertIn(b" 404 ", self.open("/console?uuid=x&session_id=" + session.handle)[0])
        self.assertIn(b" 404 ", self.open(path + "&session_id=" + session.handle, host=1)[0])
        status, stream = self.open(path + "&session_id=" + session.handle)
        self.assertIn(b" 200 ", status)
        self.assertEqual(self.exactly(stream, 12), b"RFB 003.008\n")
        stream.write(b"RFB 003.008\n")
        self.assertEqual(self.exactly(stream, 2), b"\1\1")
        stream.write(b"\1")
        self.assertEqual(self.exactly(stream, 4), b"\0\0\0\0")
        stream.write(b"\1")
        self.assertEqual(self.exactly(stream, 24 + 7)[24:], b"ws-0001")
        ask = b"\3%c\0\0\0\0\1\x40\0\xc8"
        stream.write(ask % 0)
        first = self.picture(stream)
        self.assertGreater(len({first[i:i + 4] for i in range(0, 320 * 4, 4)}), 7)
        stream.write(ask % 1 + b"\4\1\0\0\0\0\0a")
        self.assertNotEqual(self.picture(stream), first)
        stream.write(b"\x63")
        self.assertEqual(stream.read(1), b"")   # nonsense ends it


class Guests(Simulator):
    options = ["--vms", "6", "--pace", "0.02"]

    def setUp(self):
        probe = socket.socket()
        probe.bind(("127.0.0.1", 0))
        self.guest_port = probe.getsockname()[1]
        probe.close()
        self.options = [*self.options, "--guest-port", str(self.guest_port)]
        super().setUp()
        self.x = self.login().xenapi
        self.vm = self.x.VM.get_by_name_label("ws-0001")[0]
        self.address = self.x.VM_guest_metrics.get_networks(self.x.VM.get_guest_metrics(self.vm))["0/ip"]

    def reach(self):
        s = socket.socket()
        s.settimeout(0.4)
        try:
            s.connect((self.address, self.guest_port))
            return "connected"
        except ConnectionRefusedError:
            return "refused"
        except TimeoutError:
            return "timeout"
        finally:
            s.close()

    def test_a_guest_answers_times_out_when_cut_and_refuses_when_stopped(self):
        self.assertEqual(self.reach(), "connected")
        self.ctl("cut-network", "ws-0001")
        self.assertEqual(self.reach(), "timeout")
        self.ctl("restore-network", "ws-0001")
        self.assertEqual(self.reach(), "connected")
        self.ctl("stop-guest", "ws-0001")
        self.assertEqual(self.reach(), "refused")
        self.ctl("start-guest", "ws-0001")
        self.assertEqual([self.reach() for _ in range(40)], ["connected"] * 40)

    def test_a_guest_answers_a_c_echo_of_dcmtk_while_it_runs(self):
        echo = ["echoscu", "-to", "2", "-ta", "2", "-td", "2", "-aec", "WS1", self.address, str(self.guest_port)]
        self.assertEqual(subprocess.run(echo, capture_output=True).returncode, 0)
        self.assertEqual(subprocess.run([*echo, "--repeat", "20"], capture_output=True).returncode, 0)
        self.ctl("cut-network", "ws-0001")
        self.assertNotEqual(subprocess.run(echo, capture_output=True).returncode, 0)
        self.ctl("restore-network", "ws-0001")
        self.assertEqual(subprocess.run(echo, capture_output=True).returncode, 0)

    def test_nonsense_ends_a_connection_to_a_guest(self):
        for nonsense in (b"GET / HTTP/1.1\r\n\r\n", b"\1\0\xff\xff\xff\xff", b"\1\0\0\0\0\1a", b"\4\0\0\0\0\2ab"):
            with socket.create_connection((self.address, self.guest_port), timeout=5) as connection:
                connection.sendall(nonsense)
                try:
                    self.assertEqual(connection.recv(10), b"")
                except ConnectionResetError:
                    pass

    def test_a_guest_follows_its_vm(self):
        self.x.VM.pause(self.vm)
        self.assertEqual(self.reach(), "timeout")
        self.x.VM.unpause(self.vm)
        self.assertEqual(self.reach(), "connected")
        self.x.VM.suspend(self.vm)
        self.assertEqual(self.reach(), "timeout")
        self.x.VM.resume(self.vm, False, False)
        wait(lambda: self.reach() == "connected", what="the resumed guest")

    def test_the_guests_of_a_failed_host_go_silent(self):
        self.x.VM.pool_migrate(self.vm, self.x.host.get_by_name_label("host-03")[0], {"live": "true"})
        self.assertEqual(self.reach(), "connected")
        self.ctl("fail-host", "host-03")
        self.assertEqual(self.reach(), "timeout")


if __name__ == "__main__":
    sys.exit(unittest.main(warnings="ignore"))
