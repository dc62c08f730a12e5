#!/usr/bin/python3
"""The console in headless Chromium (npm playwright-core) against a real node, the simulated pool and its daemon; users and roles; the
JSON API; events; npm dicomweb-client. Screenshots stay in the build folder, console/; with VT_IMAGES=docs/images those of the README and the
guide are made anew."""
import base64
import http.client
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pydicom
import samples
import slides
from cases import equal, run
from node import BIN, SKIPPED, Node, free_port as any_port, json_lines, work_folder
from poold import Daemon, until
from simulator import BIN as SIMULATOR, free_port

HERE = pathlib.Path(__file__).resolve().parent / "console"
WORK = BIN.resolve().parent / "console"
FILES = ("package.json", "package-lock.json", ".npmrc", *sorted(path.name for path in HERE.glob("*.mjs")))
PASSWORD = "correct horse"
VM_VERBS = ("start", "shutdown", "reboot", "suspend", "resume", "pause", "unpause", "snapshot", "checkpoint", "migrate", "revert", "snapshot-delete",
            "watch", "unwatch")
IMAGES = ("studies", "viewer", "slide", "now", "workstations", "impact", "screen", "monitor", "nodes", "emergency", "transfers", "phone")
NODE_SECONDS = 280


def install():
    """Beside the build, and again only when the lock file has changed."""
    WORK.mkdir(exist_ok=True)
    lock = WORK / "package-lock.json"
    current = (WORK / "installed").exists() and lock.exists() and lock.read_bytes() == (HERE / "package-lock.json").read_bytes()
    for name in FILES:
        shutil.copy(HERE / name, WORK / name)
    if not current:
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=WORK, check=True, timeout=240)
        (WORK / "installed").touch()


class Pool(Daemon):
    """Its guests listen, so that their network can be watched."""
    vms = 12

    def start(self, seed="1"):
        self.guest_port = free_port()
        self.process = subprocess.Popen([SIMULATOR, "--port", str(self.port), "--hosts", "3", "--spares", "1", "--vms", str(self.vms), "--guest-port",
                                         str(self.guest_port), "--pace", "0.05", "--tls", "--seed", seed], stderr=subprocess.PIPE, text=True)
        if "ready" not in self.process.stderr.readline():
            raise RuntimeError("the simulator did not start")


class Crowd(Pool):
    vms = 5000


class World:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.pool = Pool(self.folder)
        self.made = samples.make(self.folder)
        odd = pydicom.dcmread(self.made["mr"][0])
        odd.PatientName, odd.PatientID, odd.StudyDate, odd.AccessionNumber = "<script>alert(1)</script>", "ODD", "20230505", "ODD"
        odd.StudyInstanceUID, odd.SeriesInstanceUID = f"{samples.ROOT}.99", f"{samples.ROOT}.99.1"
        odd.SOPInstanceUID = odd.file_meta.MediaStorageSOPInstanceUID = f"{samples.ROOT}.99.1.1"
        odd.Modality, odd.SeriesDescription, odd.StudyDescription = "OT", "<img src=x onerror=alert(2)>", "<img src=x onerror=alert(3)>"
        pydicom.dcmwrite(self.folder / "odd.dcm", odd, write_like_original=False)
        self.measured()
        slides.pyramid(self.folder / "made.svs")
        self.broken = self.folder / "broken"
        self.node = self.begin([f"pool.socket={self.pool.socket}", *self.peers()], self.fragile())

    def begin(self, options, environment):
        """On a port that stays when it is restarted; another program may take a free one meanwhile."""
        for _ in range(10):
            node = Node(self.folder / "archive", [f"http.port={any_port()}", *options], environment)
            try:
                return node.start()
            except RuntimeError as error:
                if "in use" not in str(error):
                    raise
        raise RuntimeError("no port is free")

    def fragile(self):
        """A disk that can be broken, where a preloaded library can be made and takes part (sanitizers want to be first)."""
        library = self.folder / "broken_disk.so"
        made = subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, HERE / "broken_disk.c"], capture_output=True, timeout=60, check=False)
        if made.returncode != 0 or b"__asan_init" in (BIN / "vitrined").read_bytes():
            return {}
        return {"LD_PRELOAD": str(library), "VT_BROKEN_DISK": str(self.broken)}

    def suspend(self):
        """A machine, at the pool itself; when it was done is written down."""
        name = (WORK / "suspend-name").read_text()
        self.pool.ok("vm", "suspend", name)
        (WORK / "suspended").write_text(str(time.time() * 1000))

    def break_disk(self):
        self.broken.touch()
        self.store(False)

    def mend_disk(self):
        self.broken.unlink()
        self.node.stop()
        self.node.start()

    def peers(self):
        """One that others wrote, and one that is not there."""
        received = self.folder / "received"
        received.mkdir()
        port = free_port()
        self.reader = subprocess.Popen(["storescp", "-aet", "READER", "-od", received, str(port)], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
        return [f"peer.READER.{key}" for key in ("host=127.0.0.1", f"port={port}", "ae_title=READER")] + \
               [f"peer.GONE.{key}" for key in ("host=127.0.0.1", "port=1", "ae_title=GONE")]

    def store(self, taken=True):
        """Another instance, from a modality; when that was is written down."""
        ds = pydicom.dcmread(self.made["mr"][0])
        ds.PatientName, ds.PatientID, ds.StudyInstanceUID = "Arriving^Anna", "ARR", f"{samples.ROOT}.97"
        ds.SeriesInstanceUID, ds.SOPInstanceUID = f"{samples.ROOT}.97.1", f"{samples.ROOT}.97.1.{1 if taken else 2}"
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        pydicom.dcmwrite(self.folder / "arriving.dcm", ds, write_like_original=False)
        subprocess.run(["storescu", "-aet", "STORER", "-aec", "VITRINE", "127.0.0.1", str(self.node.port), self.folder / "arriving.dcm"],
                       check=taken, capture_output=not taken, timeout=60)
        (WORK / "stored").write_text(str(time.time() * 1000))

    def close(self):
        self.reader.terminate()
        self.reader.wait(30)
        self.pool.close()

    def measured(self):
        """A picture whose pixels are twice as high as wide, with two windows of its own."""
        ds = pydicom.dcmread(self.made["ct"][0])
        ds.PatientName, ds.PatientID, ds.StudyDate, ds.AccessionNumber = "Distance^Dora", "MM", "20220404", "MM"
        ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{samples.ROOT}.98", f"{samples.ROOT}.98.1"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{samples.ROOT}.98.1.1"
        ds.PixelSpacing, ds.WindowCenter, ds.WindowWidth = [0.5, 0.25], [40, 300], [400, 1500]
        ds.WindowCenterWidthExplanation = ["Soft", "Wide"]
        pydicom.dcmwrite(self.folder / "measured.dcm", ds, write_like_original=False)

    def fill(self):
        made = self.node.cli("samples", "-o", self.folder / "samples")
        equal(made.returncode, 0, made.stderr)
        done = self.node.cli("import", self.folder / "samples", *[p for paths in self.made.values() for p in paths], self.folder / "odd.dcm",
                             self.folder / "measured.dcm", self.folder / "made.svs")
        equal(done.returncode, 0, done.stdout + done.stderr)

    def ask(self, path, method="GET", body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.node.http_port(), timeout=60)
        connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, answer.headers, json.loads(data) if "json" in answer.headers.get("Content-Type", "") else data

    def url(self):
        return f"http://127.0.0.1:{self.node.http_port()}"


def run_node(*words, control=None, actions=None):
    """What the script wants done outside it asks for by a file in `control`, and goes on when that is gone."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(["node", *map(str, words)], cwd=WORK, stdout=said, stderr=subprocess.STDOUT)
        end = time.monotonic() + NODE_SECONDS
        try:
            while process.poll() is None and time.monotonic() < end:
                for name in os.listdir(control) if control else ():
                    actions[name]()
                    os.unlink(control / name)
                time.sleep(0.05)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            said.seek(0)
            print(said.read(), end="", flush=True)
        equal(process.returncode, 0, words[0])


def keep_images():
    """Small ones: few colours, those of the page and those of the picture, so that many bytes are saved and none looks wrong."""
    from PIL import Image
    for name in IMAGES:
        with Image.open(WORK / f"{name}.png") as image:
            small = image.convert("RGB").resize((image.width * 4 // 5, image.height * 4 // 5), Image.Resampling.LANCZOS)
            small.quantize(128, method=Image.Quantize.MAXCOVERAGE, kmeans=8, dither=Image.Dither.NONE).save(
                pathlib.Path(os.environ["VT_IMAGES"]) / f"{name}.png", optimize=True)


def case_the_page_is_strict_and_small(world):
    status, headers, body = world.ask("/")
    equal(status, 200)
    equal("default-src 'none'" in headers["Content-Security-Policy"] and "unsafe" not in headers["Content-Security-Policy"], True)
    equal(b"http:" in body.replace(b"http://www.w3.org/2000/svg", b""), False)
    sizes = [int(world.ask(p, Accept_Encoding="gzip")[1]["Content-Length"]) for p in ("/", "/app.js", "/app.css")]
    equal(sum(sizes) < 150_000, True, sizes)


def case_the_pages_work_in_a_browser(world):
    chromium = shutil.which("chromium")
    if not chromium:
        print("no chromium here: the pages were not clicked")
        return
    names = [vm["name"] for vm in world.pool.rows("vm", "list") if vm["power_state"] == "Running"][-4:]
    name = names[-1]
    world.pool.ok("watch", "add", *names, "--interval", "1s", "--timeout", "1s", "--grace", "1s", "--port", str(world.pool.guest_port))
    until(lambda: all(row["state"] == "answers" for row in world.ask("/api/pool/watch")[2]["rows"]), "the guests answer")
    world.pool.ctl("cut-network", name)
    odd = "<img src=x onerror=alert(1)>"
    world.pool.ok("vm", "clone", next(vm["name"] for vm in world.pool.rows("vm", "list") if vm["power_state"] == "Halted"), odd)
    control = world.folder / "control"
    control.mkdir()
    actions = {"pool-away": world.pool.end, "pool-back": world.pool.begin, "store": world.store, "suspend": world.suspend, "node-away": world.node.stop,
               "node-back": world.node.start, "break-disk": world.break_disk, "mend-disk": world.mend_disk}
    run_node("browser.mjs", world.url(), WORK, chromium, name, odd, control, control=control, actions=actions)
    if os.environ.get("VT_IMAGES"):
        keep_images()


def case_five_thousand_machines_scroll(world):
    chromium = shutil.which("chromium")
    if not chromium:
        return
    folder, name = world.folder / "crowd", "<img src=x onerror=alert(1)>"
    folder.mkdir()
    pool = Crowd(folder)
    try:
        with Node(folder / "archive", [f"pool.socket={pool.socket}"]) as node:
            until(lambda: len(pool.rows("vm", "list")) == 5000, "the pool is known", 60)
            pool.ok("vm", "clone", next(vm["name"] for vm in pool.rows("vm", "list") if vm["power_state"] == "Halted"), name)
            run_node("crowd.mjs", f"http://127.0.0.1:{node.http_port()}", WORK, chromium, name)
    finally:
        pool.close()


def case_dicomweb_client_reads_the_archive(world):
    root = samples.ROOT
    run_node("client.mjs", world.url() + "/dicom-web", f"{root}.1", f"{root}.1.1", f"{root}.1.1.1")


def case_events_reach_a_page(world):
    connection = http.client.HTTPConnection("127.0.0.1", world.node.http_port(), timeout=60)
    connection.request("GET", "/api/events")
    answer = connection.getresponse()
    equal(answer.headers["Content-Type"], "text/event-stream")
    equal(answer.fp.readline(), b"retry: 2000\n") if not answer.chunked else equal(answer.readline(), b"retry: 2000\n")
    uid = f"{samples.ROOT}.99"
    status, _, gone = world.ask(f"/api/studies/{uid}?reason=test", "DELETE")
    equal((status, gone["instances"]), (200, 1))
    end = time.monotonic() + 30
    while time.monotonic() < end:
        line = answer.readline()
        if line.startswith(b"data: ") and json.loads(line[6:])["kind"].startswith("study."):
            break
    else:
        raise AssertionError("no event of the study")
    connection.close()
    equal(world.ask(f"/api/trash/{gone['trash']}/restore", "POST")[0], 200)
    equal(world.ask(f"/api/studies/{uid}1", "DELETE")[0], 404)
    equal(world.ask("/api/studies/..", "DELETE")[0] in (400, 404), True)
    equal(world.ask("/api/jobs?state=nonsense")[0], 400)
    equal(world.ask("/api/jobs/1/explode", "POST")[0], 404)
    equal(world.ask("/api/jobs/77/cancel", "POST")[0], 404)
    equal(world.ask(f"/api/studies/{uid}", "DELETE", Origin="http://evil.example")[0], 403)


def case_the_last_picture_stays_with_its_age(world):
    before = world.ask("/api/pool/vms")[2]
    equal((len(before["rows"]) >= 12, "error" in before), (True, False), before)
    world.pool.end()
    after = world.ask("/api/pool/vms")[2]
    equal((after["rows"], isinstance(after["age_s"], int), bool(after["error"])), (before["rows"], True, True))
    equal(world.ask(f"/api/pool/vms/{before['rows'][0]['uuid']}/start", "POST")[0] >= 400, True)
    equal(world.ask("/api/pool/secrets")[0], 404)
    world.pool.begin()


def case_an_ohif_viewer_is_served_from_its_folder_only(world):
    equal(world.ask("/ohif/index.html")[0], 404, "none is configured")
    equal(world.ask("/api/viewers")[2]["rows"], [])
    folder = world.folder / "ohif"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><script src=/ohif/app-config.js></script><script src=/ohif/app.js></script>")
    (folder / "app.js").write_text("console.log(1)")
    (folder / "app-config.js").write_text("window.config = 'of others'")
    (world.folder / "secret.txt").write_text("secret")
    (folder / "assets" / "out.txt").symlink_to(world.folder / "secret.txt")
    with Node(world.folder / "with-ohif", [f"http.ohif={folder}"]) as node:
        def ask(path):
            connection = http.client.HTTPConnection("127.0.0.1", node.http_port(), timeout=60)
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        status, headers, page = ask("/ohif/viewer?StudyInstanceUIDs=1.2.3")
        equal((status, page), (200, (folder / "index.html").read_bytes()))
        equal("connect-src 'self'" in headers["Content-Security-Policy"], True)
        equal(ask("/ohif/")[0], 200)
        equal(ask("/ohif/app.js")[1]["Content-Type"], "text/javascript; charset=utf-8")
        equal(b"wadoRoot: '/dicom-web'" in ask("/ohif/app-config.js")[2], True)
        for path in ("/ohif/../secret.txt", "/ohif/%2e%2e/secret.txt", "/ohif/assets/out.txt", "/ohif//etc/hostname.txt", "/ohif/assets/none.js"):
            equal(ask(path)[0] in (400, 404), True, path)
        equal(b"OHIF" in ask("/api/viewers")[2], True)


def case_a_screen_is_for_our_own_pages_with_a_ticket(world):
    vm = next(vm for vm in world.ask("/api/pool/vms")[2]["rows"] if vm["power_state"] == "Running")

    def open_screen(ticket, **headers):
        shake = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13",
                 "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==", **headers}
        return world.ask(f"/api/screen?ticket={ticket}", **shake)[0]

    def ticket():
        return world.ask(f"/api/pool/vms/{vm['uuid']}/screen", "POST")[2]["ticket"]
    equal(world.ask("/api/pool/vms/../screen", "POST")[0] in (400, 404), True)
    equal(open_screen("0" * 48), 403, "a guess")
    equal(world.ask("/api/screen")[0], 403, "no ticket")
    equal(open_screen(ticket(), Origin="http://evil.example"), 403, "a page of others")
    equal(open_screen(ticket(), Sec_WebSocket_Version="8"), 400, "another version")
    equal(open_screen(ticket(), Sec_WebSocket_Key="short"), 400, "a key that is none")
    once = ticket()
    equal(world.ask(f"/api/screen?ticket={once}")[0], 400, "no WebSocket")
    equal(open_screen(once), 403, "a second time")


def case_a_screen_comes_through_tls_and_does_not_hold_up_the_end(world):
    certificate, key = world.folder / "web.pem", world.folder / "web.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2", "-keyout", key, "-out",
                    certificate], check=True, capture_output=True, timeout=60)
    for options in ([], [f"http.certificate={certificate}", f"http.key={key}"]):
        with Node(world.folder / f"screens{len(options)}", [f"pool.socket={world.pool.socket}", *options]) as node:
            with socket.create_connection(("127.0.0.1", node.http_port()), 60) as plain:
                line = ssl._create_unverified_context().wrap_socket(plain) if options else plain
                equal(screen_greeting(line, world), b"\x82\x0cRFB 003.008\n")
                begun = time.monotonic()
                equal(node.stop(), 0)
                equal(time.monotonic() - begun < 10, True, "an open screen holds up the end")


def screen_greeting(line, world):
    """The ticket and the WebSocket over one connection; the first frame."""
    vm = next(vm for vm in world.ask("/api/pool/vms")[2]["rows"] if vm["power_state"] == "Running")
    line.sendall(f"POST /api/pool/vms/{vm['uuid']}/screen HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
    answer = b""
    while b"}" not in answer:
        piece = line.recv(65536)
        equal(bool(piece), True, answer)
        answer += piece
    ticket = json.loads(answer[answer.index(b"{"):])["ticket"]
    line.sendall(f"GET /api/screen?ticket={ticket} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
    got = b""
    while len(got.partition(b"\r\n\r\n")[2]) < 14:
        piece = line.recv(65536)
        equal(bool(piece), True, got)
        got += piece
    head, _, rest = got.partition(b"\r\n\r\n")
    equal((head.startswith(b"HTTP/1.1 101 "), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head), (True, True), head)
    return rest


def add_user(node, name, role, password=PASSWORD):
    return subprocess.run([BIN / "vitrine", *node.options, "user", "add", name, "--role", role], input=password + "\n",
                          capture_output=True, text=True, timeout=60, check=False)


class Guarded(Node):
    """One with users, and an audit trail."""

    def __init__(self, world, name, *options):
        self.trail = world.folder / f"{name}.audit"
        super().__init__(world.folder / name, [f"pool.socket={world.pool.socket}", f"audit.target=file:{self.trail}", *options])

    def __enter__(self):
        super().__enter__()
        for name, role in (("anna", "admin"), ("otto", "operator"), ("vera", "viewer")):
            equal(add_user(self, name, role).returncode, 0)
        return self

    def open(self, path, cookie="", method="GET", body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port(), timeout=60)
        connection.request(method, path, body, {"Cookie": cookie, **{key.replace("_", "-"): value for key, value in headers.items()}})
        return connection

    def ask(self, path, cookie="", method="GET", body=None, **headers):
        connection = self.open(path, cookie, method, body and json.dumps(body), Content_Type="application/json", **headers)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, answer.headers, data

    def enter(self, name, password=PASSWORD):
        status, headers, _ = self.ask("/api/login", method="POST", body={"user": name, "password": password})
        equal(status, 200)
        return headers["Set-Cookie"].split(";")[0]

    def show(self, vm, cookie):
        """The screen of a VM: a socket behind its greeting."""
        ticket = json.loads(self.ask(f"/api/pool/vms/{vm}/screen", cookie, "POST")[2])["ticket"]
        line = socket.create_connection(("127.0.0.1", self.http_port()), 60)
        line.sendall(f"GET /api/screen?ticket={ticket} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
        read_until(line, b"RFB 003.008\n")
        return line


def read_until(line, mark):
    """What came up to the mark; without one until the end."""
    got = b""
    while mark is None or mark not in got:
        piece = line.recv(65536)
        if not piece:
            equal(mark, None, got)
            break
        got += piece
    return got


def running_vm(world):
    return next(vm["uuid"] for vm in world.ask("/api/pool/vms")[2]["rows"] if vm["power_state"] == "Running")


def case_screens_and_events_end_with_their_login(world):
    vm = running_vm(world)
    with Guarded(world, "guarded") as node:
        admin = node.enter("anna")

        def change(**what):
            equal(node.ask("/api/users/otto", admin, "POST", what)[0], 200)
        for words, end, mend in (
                (b"The login has ended", lambda cookie: equal(node.ask("/api/logout", cookie, "POST")[0], 204), lambda: None),
                (b"The role of this user was changed", lambda cookie: change(role="viewer"), lambda: change(role="operator")),
                (b"The password was changed", lambda cookie: change(password="battery staple"), lambda: change(password=PASSWORD)),
                (b"This user was removed", lambda cookie: equal(node.ask("/api/users/otto", admin, "DELETE")[0], 200), lambda: None)):
            cookie = node.enter("otto")
            line, news = node.show(vm, cookie), node.open("/api/events", cookie).getresponse()
            equal(news.readline(), b"retry: 2000\n")
            begun = time.monotonic()
            end(cookie)
            said = read_until(line, None)
            equal((b"\x03\xf0" + words in said), True, said)
            print(f"     {words.decode()}: told after {time.monotonic() - begun:.1f} s")
            if b"role" not in words:
                equal(news.read()[-1:] in (b"", b"\n"), True)
            line.close()
            mend()
        equal(node.ask("/api/jobs", admin)[0], 200, "whom it is not about")
        equal(any("console.screen-ended" in said and "This user was removed" in said for said in node.lines), True)
    trail = node.trail.read_text()
    for words in ("Use of Restricted Function", "Logout", "screen-ended of", "User Security Attributes Changed"):
        equal(words in trail, True, words)


def case_a_session_that_nobody_uses_ends(world):
    vm = running_vm(world)
    with Guarded(world, "idle", "http.session_idle=5s") as node:
        cookie = node.enter("otto")
        line, news = node.show(vm, cookie), node.open("/api/events?unattended=1", cookie).getresponse()
        begun, asked = time.monotonic(), 0
        while node.ask("/api/jobs", cookie, Vitrine_Unattended="1")[0] == 200:
            asked += 1
            equal(time.monotonic() - begun < 30, True, "what a page asks by itself keeps the session")
            time.sleep(0.2)
        equal(asked > 1, True)
        equal(node.ask("/api/jobs", cookie)[0], 401)
        equal(json.loads(node.ask("/api/me", cookie)[2])["role"], "nobody")
        equal(b"The login has ended" in read_until(line, None), True)
        equal(news.read() is not None, True)


def case_logins_in_a_browser(world):
    chromium = shutil.which("chromium")
    if not chromium:
        return
    with Guarded(world, "logins", "http.session_idle=6s") as node:
        equal(node.cli("import", *[p for paths in world.made.values() for p in paths]).returncode, 0)
        run_node("session.mjs", f"http://127.0.0.1:{node.http_port()}", WORK, chromium, 6)


def case_users_have_their_roles(world):
    def add(name, role, password=PASSWORD):
        return add_user(world.node, name, role, password)

    def basic(name, password=PASSWORD):
        return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
    equal(add("anna", "chief").returncode != 0, True)
    equal(add("anna", "admin", "short").returncode != 0, True)
    for name, role in (("anna", "admin"), ("otto", "operator"), ("vera", "viewer")):
        done = add(name, role)
        equal((done.returncode, done.stdout), (0, f"{name} may log in as {role}\n"), done.stderr)
    equal(add("anna", "admin").returncode != 0, True, "taken")
    equal([row["user"] for row in json_lines(world.node.cli("user", "list", "--json").stdout)], ["anna", "otto", "vera"])
    equal(world.ask("/api/me")[2]["open"], False)
    equal(world.ask("/")[0], 200, "the page that asks for the login")
    for path, method, allowed in (("/dicom-web/studies", "GET", "anna otto vera"), ("/api/jobs/77/cancel", "POST", "anna otto"),
                                  ("/api/users", "GET", "anna"), ("/api/studies/1.2.3", "DELETE", "anna"), ("/api/trash", "GET", "anna"),
                                  ("/api/pool/vms/aaaa/explode", "POST", "anna otto"),
                                   ("/api/now", "GET", "anna otto vera"), ("/api/nodes", "GET", "anna otto vera"),
                                   ("/api/nodes/GONE/echo", "POST", "anna otto"), ("/api/nodes/NOBODY/explain", "POST", "anna otto"),
                                   ("/api/studies/1.2/send", "POST", "anna otto"), ("/api/studies/1.2/export", "GET", "anna otto vera"),
                                   ("/api/pool/emergency", "GET", "anna"), ("/api/pool/vms/aaaa/screen", "POST", "anna otto"),
                                  *((f"/api/pool/vms/aaaa/{verb}", "POST", "anna otto") for verb in VM_VERBS),
                                  ("/api/screen", "GET", None), ("/api/events?once", "GET", None),
                                  ("/api/studies/1.2.3/series/1.2.4", "DELETE", "anna"), ("/api/trash/77/restore", "POST", "anna"),
                                  ("/api/studies/1.2/export", "POST", "anna otto"), ("/api/exports", "GET", "anna otto vera"),
                                  ("/api/exports/none.zip", "GET", "anna otto vera"), ("/api/exports/none.zip", "DELETE", "anna otto"),
                                  ("/api/log", "GET", "anna"), ("/api/users", "POST", "anna"), ("/api/users/nobody", "POST", "anna"),
                                  ("/api/users/nobody", "DELETE", "anna"), ("/api/password", "POST", "anna otto vera"),
                                  ("/api/status", "GET", "anna otto vera"), ("/api/volumes", "GET", "anna otto vera"),
                                  ("/dicom-web/studies", "POST", "anna otto"), ("/dicom-web/studies/1.2.3", "DELETE", "anna")):
        equal(world.ask(path, method)[0], 401, path)
        for name in ("anna", "otto", "vera") if allowed else ():
            status = world.ask(path, method, Authorization=basic(name))[0]
            equal(status not in (401, 403), name in allowed.split(), f"{name} {method} {path}: {status}")
    body = json.dumps({"user": "vera", "password": PASSWORD})
    status, headers, me = world.ask("/api/login", "POST", body, Content_Type="application/json")
    equal((status, me["role"]), (200, "viewer"))
    cookie = headers["Set-Cookie"].split(";")[0]
    equal(world.ask("/api/jobs", Cookie=cookie)[0], 200)
    vm = world.ask("/api/pool/vms", Authorization=basic("vera"))[2]["rows"][0]["uuid"]
    ticket = world.ask(f"/api/pool/vms/{vm}/screen", "POST", Authorization=basic("otto"))[2]["ticket"]
    equal(world.ask(f"/api/screen?ticket={ticket}", Authorization=basic("anna"))[0], 403, "the ticket is otto's")
    world.node.cli("user", "remove", "vera")
    equal(world.ask("/api/jobs", Cookie=cookie)[0], 401, "removed, though the session runs")
    equal(world.node.cli("user", "remove", "nobody").returncode, 1)


if __name__ == "__main__":
    if not shutil.which("npm"):
        sys.exit(SKIPPED)
    install()
    with work_folder("console") as work:
        scene = World(work)
        try:
            scene.fill()
            result = run(dict(globals()), scene)
            equal(scene.node.stop(), 0)
        finally:
            if scene.node.alive():
                scene.node.kill()
            scene.close()
    sys.exit(result)
