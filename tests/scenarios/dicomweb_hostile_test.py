#!/usr/bin/python3
"""What comes over HTTP from somebody who means no good, byte by byte: each is answered with the right status and a sentence, or the connection
ends; and the node goes on serving others."""
import base64
import json
import os
import pathlib
import random
import socket
import subprocess
import sys
import time

import samples
from cases import equal, run
from node import BIN, Node, work_folder

CONNECTIONS = 512            # VT_HTTP_CONNECTIONS
SECONDS = float(os.environ.get("VT_FUZZ_SECONDS", "10"))
SEED = int(os.environ.get("VT_FUZZ_SEED", time.time_ns() % 1000000))


class World:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.made = samples.make(self.folder)
        self.node = Node(self.folder / "archive")

    def connect(self, timeout=60):
        return socket.create_connection(("127.0.0.1", self.node.http_port()), timeout)

    def say(self, text, timeout=60):
        """What is sent as it is; (status, head, body) of the answer, (0, "", b"") when the connection ended without one."""
        with self.connect(timeout) as s:
            try:
                s.sendall(text if isinstance(text, bytes) else text.encode("latin-1"))
                return read_answer(s)
            except (ConnectionError, BrokenPipeError):
                return 0, "", b""

    def ask(self, line, headers="", body=b"", host="localhost"):
        return self.say(f"{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n".encode("latin-1") + body)

    def serves(self):
        status, _, body = self.ask("GET /api/me")
        equal((status, json.loads(body)["open"]), (200, True), "others are served")

    def refused(self, status, *ask, **more):
        """The status, and a sentence as JSON."""
        got, head, body = self.ask(*ask, **more)
        equal(got, status, f"{str(ask)[:100]}: {body[:200]}")
        text = json.loads(body)["error"]
        equal(isinstance(text, str) and len(text) > 5, True, text)


def read_answer(s):
    data = b""
    while b"\r\n\r\n" not in data:
        piece = s.recv(65536)
        if not piece:
            break
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 "):
        return 0, "", data
    text = head.decode("latin-1")
    lengths = [line.split(":")[1] for line in text.split("\r\n") if line.lower().startswith("content-length:")]
    while not lengths or len(body) < int(lengths[0]):
        piece = s.recv(65536)
        if not piece:
            break
        body += piece
    return int(text.split(" ")[1]), text, body


# ---- requests that are none ----

def case_what_is_no_http_ends_the_connection(world):
    for text in ("\r\n\r\n\r\n", "GET\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00", "GET / HTTP/9.9\r\n\r\n", "A" * 100000, "GET / HTTP/1.1\r\nHost\r\n\r\n",
                 "GET / HTTP/1.1\r\n: x\r\n\r\n", "GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n", bytes(range(256)) * 40 + b"\r\n\r\n"):
        with world.connect() as s:
            try:
                s.sendall(text if isinstance(text, bytes) else text.encode("latin-1"))
                s.shutdown(socket.SHUT_WR)
                status = read_answer(s)[0]
            except ConnectionError:
                status = 0
        equal(status in (0, 400, 404, 405, 413, 414, 421, 431, 505), True, f"{text[:30]!r}: {status}")
    world.serves()


def case_floods_of_headers_are_cut_off(world):
    for flood in ("X-A: b\r\n" * 20000, "X-A: " + "b" * 200000 + "\r\n", "Cookie: " + "a=b; " * 40000 + "\r\n", "Accept: " + "image/png," * 20000 + "\r\n"):
        status, _, _ = world.ask("GET /api/me", flood)
        equal(status in (0, 400, 413, 431), True, f"{flood[:20]!r}: {status}")
    status, _, _ = world.ask("GET /" + "a" * 200000)
    equal(status in (0, 400, 414, 431), True, status)
    world.refused(400, "GET /dicom-web/studies?" + "&".join(f"a{i}=" for i in range(300)))
    world.serves()


def case_hosts_and_origins_are_not_believed(world):
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "", "[::1", "localhost@evil.example", "localhost:80:evil"):
        status, _, _ = world.ask("GET /api/me", host=host)
        equal(status in (400, 421) or host == "localhost:80:evil", True, f"{host}: {status}")
    equal(world.say("GET /api/me HTTP/1.1\r\nConnection: close\r\n\r\n")[0] in (400, 421), True, "no Host")
    for origin in ("null", "http://evil.example", "http://localhost.evil.example", "http://127.0.0.1:1", "file://"):
        for method, path in (("POST", "/api/logout"), ("DELETE", f"/dicom-web/studies/{samples.ROOT}.1"), ("POST", "/dicom-web/studies")):
            world.refused(403, f"{method} {path}", f"Origin: {origin}\r\nContent-Length: 0\r\n")
    world.refused(403, "POST /api/logout", "Sec-Fetch-Site: cross-site\r\nContent-Length: 0\r\n")


def case_paths_lead_nowhere_else(world):
    for path in ("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/dicom-web/../api/users", "/dicom-web/studies/..%2f..%2f/file",
                 "/dicom-web/studies/1/series/1/instances/..%2f..%2fstate.db/file", "/dicom-web/studies/%00/metadata", "/api/%75sers/..", "/%ff%fe",
                 "/dicom-web/studies/1/series/2/instances/3/bulkdata/../../../../x", "/dicom-web/studies/1/series/2/instances/3/frames/99999999999999999999"):
        status, _, body = world.ask("GET " + path)
        equal(status in (400, 404), True, f"{path}: {status}")
        equal(b"root:" in body or b"SQLite" in body, False)
        equal("error" in json.loads(body), True)


# ---- bodies ----

def stow(boundary="b"):
    return f'Content-Type: multipart/related; type="application/dicom"; boundary={boundary}\r\n'


def case_bodies_are_bounded_and_judged(world):
    for kind, body, status in (('Content-Type: text/plain\r\n', b"x", 415), (stow(), b"", 400), (stow(), b"x" * 100, 400), (stow(), b"--b\r\n\r\nabc", 400),
                               (stow("b" * 80), b"x", 400), (stow(), b"--b\r\n" + b"h" * 20000, 400),
                               (stow(), b"--b\r\nContent-Type: application/dicom\r\n\r\n" + b"\0" * 100000 + b"\r\n--b--", 409)):
        world.refused(status, "POST /dicom-web/studies", kind + f"Content-Length: {len(body)}\r\n", body) if status != 409 else equal(
            world.ask("POST /dicom-web/studies", kind + f"Content-Length: {len(body)}\r\n", body)[0], 409)
    world.refused(413, "POST /api/login", "Content-Type: application/json\r\nContent-Length: 100000\r\n", b" " * 100000)
    for body in (b"[" * 4000, b'{"user":' * 400, b'{"user":"\xff","password":"x"}', b'{"user":1e999}'):
        world.refused(400, "POST /api/login", f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n", body)
    for headers in ("Content-Length: -1\r\n", "Content-Length: 99999999999999999999999\r\n", "Content-Length: 5\r\nContent-Length: 6\r\n", "Transfer-Encoding: x\r\n",
                    "Transfer-Encoding: chunked\r\n\r\nZZ\r\n", "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n"):
        with world.connect() as s:
            s.sendall(f"POST /api/logout HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
            s.shutdown(socket.SHUT_WR)
            try:
                status = read_answer(s)[0]
            except ConnectionError:
                status = 0
        equal(status in (0, 204, 400, 411, 413, 501), True, f"{headers!r}: {status}")
    world.serves()


def case_json_that_is_none_is_refused_and_costs_no_memory(world):
    def send(text, more=b""):
        head = 'Content-Type: multipart/related; type="application/dicom+json"; boundary=b\r\n'
        body = b"--b\r\nContent-Type: application/dicom+json\r\n\r\n" + text + b"\r\n" + more + b"--b--"
        return world.ask("POST /dicom-web/studies", head + f"Content-Length: {len(body)}\r\n", body)[0]
    before = world.node.rss("VmRSS")
    for text in (b"", b"{", b"[[[[", b'{"a":1}', b'[{"00080018":{"vr":"UI","Value":["../../x"]}}]', b"\xff\xfe", b'["\\ud800"]', b"null", b"[1e999999]",
                 b'[{"7FE00010":{"vr":"OW","BulkDataURI":"file:///etc/passwd"}}]', b'[{"7FE00010":{"vr":"OW","BulkDataURI":"http://127.0.0.1/"}}]'):
        equal(send(text), 409, text)
    equal(send(b"[" * 1000000), 413)
    equal(send(b'{"00081199":{"vr":"SQ","Value":[' * 100 + b"]}}" * 100), 413)
    equal(send(b'{"00081199":{"vr":"SQ","Value":[' * 40 + b"]}}" * 40), 409)
    equal(send(b"[" + b"{}," * 99999 + b"{}]"), 409, "a hundred thousand empty ones")
    equal(send(b"[" + b"{}," * 100001 + b"{}]"), 413)
    many = b"".join(b"--b\r\nContent-Location: x/%d\r\n\r\n\r\n" % i for i in range(50000))
    equal(send(b'[{"00282000":{"vr":"OB","BulkDataURI":"x/49999"},"00080018":{"vr":"UI","Value":["1.2.3"]}}]', many), 409)
    grown = (world.node.rss("VmRSS") - before) / (1 << 20)
    equal(grown < 96 or "asan" in str(world.node.command[0]) or "tsan" in str(world.node.command[0]), True, f"{grown} MB")
    world.serves()


def case_a_bomb_of_parts_costs_no_memory(world):
    """A hundred thousand parts without anything in them, and one more: refused, and the answer has an end."""
    part = b"--b\r\nContent-Type: application/dicom\r\n\r\n\r\n"
    before = world.node.rss("VmRSS")
    body = part * 120000
    status, _, answer = world.ask("POST /dicom-web/studies", stow() + f"Content-Length: {len(body)}\r\n", body)
    equal(status, 413, answer[:200])
    nested = part * 1000 + b"--b--"
    equal(world.ask("POST /dicom-web/studies", stow() + f"Content-Length: {len(nested)}\r\n", nested)[0], 409)
    grown = (world.node.rss("VmRSS") - before) / (1 << 20)
    equal(grown < 64 or "asan" in str(world.node.command[0]) or "tsan" in str(world.node.command[0]), True, f"{grown} MB")
    world.serves()


# ---- slow ones ----

def case_those_who_dawdle_do_not_keep_others_out(world):
    """More connections than there are places, each with half a request, and a byte more now and then."""
    slow = []
    try:
        for i in range(CONNECTIONS + 100):
            s = socket.create_connection(("127.0.0.1", world.node.http_port()), 30)
            s.sendall(b"GET /api/me HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
            slow.append(s)
        begun = time.monotonic()
        for _ in range(20):
            world.serves()
        equal(time.monotonic() - begun < 30, True, "within seconds")
        for s in slow:
            try:
                s.sendall(b"x")
            except OSError:
                pass
        world.serves()
    finally:
        for s in slow:
            s.close()
    world.serves()


def case_readers_that_do_not_read_cost_a_connection_only(world):
    stuck = []
    path = f"/dicom-web/studies/{samples.ROOT}.1"
    body = b"".join(b"--b\r\nContent-Type: application/dicom\r\n\r\n" + p.read_bytes() + b"\r\n" for p in world.made["ct"]) + b"--b--"
    equal(world.ask("POST /dicom-web/studies", stow() + f"Content-Length: {len(body)}\r\n", body)[0], 200)
    try:
        for i in range(100):
            s = world.connect()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n".encode() * 20)
            stuck.append(s)
        world.serves()
    finally:
        for s in stuck:
            s.close()
    world.serves()


def case_uploads_that_break_off_leave_nothing(world):
    data = world.made["mr"][0].read_bytes()
    head = b"--b\r\nContent-Type: application/dicom\r\n\r\n"
    for cut in (0, 10, 200, len(data) // 2, len(data) - 1, len(data)):
        with world.connect() as s:
            s.sendall(f"POST /dicom-web/studies HTTP/1.1\r\nHost: localhost\r\n{stow()}Content-Length: {len(head) + len(data) + 9}\r\n\r\n".encode()
                      + head + data[:cut])
    for _ in range(300):
        left = list((world.folder / "archive/staging").iterdir())
        if world.ask(f"GET /dicom-web/studies/{samples.ROOT}.2/metadata")[0] == 404 and all(p.stat().st_size == 0 for p in left):
            break
        time.sleep(0.1)
    equal(world.ask(f"GET /dicom-web/studies/{samples.ROOT}.2/metadata")[0], 404)


# ---- anything at all ----

def some_request(chance):
    """A request that is nearly right."""
    path = chance.choice(["/", "/api/me", "/api/jobs", "/dicom-web/studies", "/dicom-web/instances", f"/dicom-web/studies/{samples.ROOT}.1/metadata",
                          f"/dicom-web/studies/{samples.ROOT}.1/series/{samples.ROOT}.1.1/instances/{samples.ROOT}.1.1.1/frames/1",
                          f"/dicom-web/studies/{samples.ROOT}.1/series/{samples.ROOT}.1.1/instances/{samples.ROOT}.1.1.1/rendered",
                          f"/dicom-web/studies/{samples.ROOT}.1/series/{samples.ROOT}.1.1/instances/{samples.ROOT}.1.1.1/bulkdata/7FE00010",
                          f"/dicom-web/studies/{samples.ROOT}.1/thumbnail"])
    query = chance.choice(["", "", "?limit=1", "?PatientName=*", "?00100020=x\\y", "?window=1,2,linear", "?viewport=3,3", "?includefield=all", "?q=%41",
                           "?StudyDate=-20240101", "?fuzzymatching=true&PatientName=mueller", "?offset=99999999999999999999"])
    headers = [chance.choice(["Host: localhost", "Host: [::1]:1", "Host: x"])] + chance.sample(
        ["Accept: */*", "Accept: multipart/related; type=\"application/octet-stream\"; transfer-syntax=*", "Accept: image/png;q=0.3, image/*", "Range: bytes=1-2",
         "Range: bytes=-1", "If-None-Match: \"a\", W/\"b\"", "Accept-Encoding: gzip, zstd;q=0.1", "Authorization: Basic YTpi", "Cookie: vitrine_session=abc",
         "Origin: http://localhost", "Content-Type: application/json", "Content-Length: 2", "Transfer-Encoding: chunked", "Expect: 100-continue", "Connection: Upgrade",
         "Upgrade: websocket", stow().strip()], chance.randrange(5))
    return (f"{chance.choice(['GET', 'GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS', 'PUT'])} {path}{query} HTTP/1.1\r\n" + "\r\n".join(headers) + "\r\n\r\n{}").encode()


def spoil(chance, data):
    data = bytearray(data)
    for _ in range(chance.randrange(6)):
        at = chance.randrange(len(data))
        how = chance.randrange(5)
        if how == 0:
            data[at] = chance.randrange(256)
        elif how == 1:
            del data[at:at + chance.randrange(1, 9)]
        elif how == 2:
            data[at:at] = chance.choice([b"\r\n", b"\0", b"%", b"%ff", b"..", b"/", b"\"", b",", b";", b"=", b"A" * 5000, b"-", b"9" * 30])
        elif how == 3:
            data[at:at] = data[chance.randrange(len(data)):][:chance.randrange(40)]
        else:
            data = data[:max(1, at)]
        if not data:
            return b"x"
    return bytes(data)


def case_anything_at_all_is_answered_or_ends(world):
    chance = random.Random(SEED)
    print(f"seed {SEED}", flush=True)
    end, count, statuses = time.monotonic() + SECONDS, 0, {}
    while time.monotonic() < end:
        text = b"".join(spoil(chance, some_request(chance)) for _ in range(chance.randrange(1, 4)))
        with world.connect() as s:
            try:
                s.sendall(text)
                s.shutdown(socket.SHUT_WR)
                status = read_answer(s)[0]
            except ConnectionError:
                status = 0
        count += 1
        statuses[status] = statuses.get(status, 0) + 1
        if status == 500 or not world.node.alive():
            raise AssertionError(f"seed {SEED}: {status} to {text!r}")
    print(f"{count} requests: {dict(sorted(statuses.items()))}", flush=True)
    world.serves()


# ---- who may, when there are users; and a full house ----

def case_roles_and_sessions_end_where_they_should(world):
    def basic(name):
        return "Authorization: Basic " + base64.b64encode(f"{name}:correct horse".encode()).decode() + "\r\n"
    for name, role in (("ada", "admin"), ("otto", "operator"), ("vera", "viewer")):
        done = subprocess.run([BIN / "vitrine", *world.node.options, "user", "add", name, "--role", role], input="correct horse\n", text=True,
                              capture_output=True, timeout=60, check=False)
        equal(done.returncode, 0, done.stderr)
    study = f"/dicom-web/studies/{samples.ROOT}.1"
    for who, line, status in ((None, f"GET {study}/metadata", 401), ("vera", f"GET {study}/metadata", 200), ("vera", f"DELETE {study}", 403),
                              ("otto", f"DELETE {study}", 403), ("vera", "POST /dicom-web/studies", 403),
                              ("otto", f"DELETE {study}/series/{samples.ROOT}.1.1", 403), (None, f"DELETE {study}/series/{samples.ROOT}.1.1", 401),
                              ("vera", f"DELETE {study}/series/{samples.ROOT}.1.1/instances/{samples.ROOT}.1.1.1", 403), ("otto", "GET /api/users", 403), ("ada", "GET /api/users", 200),
                              ("nobody", f"GET {study}/metadata", 401)):
        got, _, body = world.ask(line, (basic(who) if who else "") + ("Content-Length: 0\r\n" if not line.startswith("GET") else ""))
        equal(got, status, f"{who} {line}: {body[:200]}")
    body = b'{"user":"vera","password":"correct horse"}'
    status, head, _ = world.ask("POST /api/login", f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n", body)
    cookie = "Cookie: " + next(line.split(": ")[1].split(";")[0] for line in head.split("\r\n") if line.lower().startswith("set-cookie")) + "\r\n"
    equal(world.ask(f"GET {study}/metadata", cookie)[0], 200)
    equal(world.node.cli("user", "remove", "vera").returncode, 0)
    world.refused(401, f"GET {study}/metadata", cookie)
    world.refused(401, f"GET {study}/metadata", cookie.replace("=", "=0"))
    for _ in range(8):
        status, _, _ = world.ask("GET /api/status", "Authorization: Basic " + base64.b64encode(b"ada:wrong horse").decode() + "\r\n")
    equal(status, 429, "too many wrong passwords")


def case_a_full_volume_takes_nothing_and_goes_on_answering(world):
    with Node(world.folder / "full", ["archive.stop_free=500T", "archive.warn_free=500T"]) as node:
        data = world.made["ct"][0].read_bytes()
        body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n--b--"
        full = World.__new__(World)
        full.node = node
        status, _, answer = full.ask("POST /dicom-web/studies", stow() + f"Content-Length: {len(body)}\r\n", body)
        equal(status, 507, answer[:300])
        failed, = json.loads(answer)["00081198"]["Value"]
        equal((failed["00081197"]["Value"], len(failed["00000902"]["Value"][0]) > 5), ([0xA700], True), "and says why")
        head = 'Content-Type: multipart/related; type="application/dicom+json"; boundary=b\r\n'
        metadata = b'--b\r\nContent-Type: application/dicom+json\r\n\r\n[{"00080018":{"vr":"UI","Value":["1.2.3"]}}]\r\n'
        for body, what in ((metadata + b"--b--", "0008119"), (metadata + b"--b\r\nContent-Location: x\r\n\r\n" + data + b"\r\n--b--", "error")):
            status, _, answer = full.ask("POST /dicom-web/studies", head + f"Content-Length: {len(body)}\r\n", body)
            equal((status, what in answer.decode()), (507, True), answer[:300])
        equal(full.ask("DELETE /dicom-web/studies/1.2.3", "Content-Length: 0\r\n")[0], 404)
        equal(full.ask("GET /dicom-web/studies")[0], 204)


if __name__ == "__main__":
    with work_folder("dicomweb-hostile") as work:
        scene = World(work)
        with scene.node:
            failed = run(globals(), scene)
            ended = scene.node.stop()
            if ended:   # a sanitizer has something to say
                print("\n".join(scene.node.lines[-60:]))
            sys.exit(failed or ended)
