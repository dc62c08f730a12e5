#!/usr/bin/python3
"""What the network may throw at the node: each attack gets a refusal with a reason or is closed, the node lives, its memory stays
bounded, and other peers' echoes stay quick while it happens."""
import contextlib
import pathlib
import random
import socket
import struct
import sys
import threading
import time
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import node as nodes  # noqa: E402
from rawdicom import (CT, C_ECHO, C_STORE, DEFLATED, EXPLICIT, IMPLICIT, NO_DATA_SET,  # noqa: E402
                      SECONDARY_CAPTURE, STUDY_FIND, VERIFICATION, Aborted, Association, Closed, Rejected, associate_rq, command,
                      comment_of, element, implicit_element, instance, pdu, pdv, split_part10)

NESTED = 6000
SILENT = 300
SERVED_AT_ONCE = 200
ASSOCIATIONS_MAX = 256              # dicom.max_associations
MEMORY_BOUND = 96 << 20             # growth over all attacks, with a thread for each of 256 associations
ECHO_BOUND, ECHO_MEDIAN = 1.0, 0.1    # of a bystander's echoes, on top of TIMES what they take without attacks: who is held up waits
TIMES, USUAL_SECONDS = 5, 1.0         # for seconds, and a machine that other tests load is slow for everybody
ANSWER_SECONDS = 20

EVERYTHING = [(VERIFICATION, [IMPLICIT]), (STUDY_FIND, [EXPLICIT]), (SECONDARY_CAPTURE, [EXPLICIT]), (CT, [DEFLATED])]
FAILED_OTHERWISE = (Aborted, Closed, ConnectionError)     # an A-ABORT or a closed connection


class Watch(threading.Thread):
    """Another peer: an echo every few milliseconds on a new association, for as long as the attacks go on."""
    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.times, self.troubles, self.over = port, [], [], threading.Event()

    def run(self):
        while not self.over.wait(0.02):
            begun = time.monotonic()
            try:
                with Association(self.port, calling="BYSTANDER", timeout=10) as a:
                    if a.echo() != 0:
                        self.troubles.append("echo failed")
                self.times.append(time.monotonic() - begun)
            except Exception as e:      # whatever it is, a bystander was hurt
                self.troubles.append(f"{type(e).__name__}: {e}")


class Test:
    def __init__(self, node):
        self.node, self.faults = node, []

    def expect(self, condition, sentence):
        print(("ok: " if condition else "FAULT: ") + sentence, flush=True)
        if not condition:
            self.faults.append(sentence)

    def alive(self, what):
        if not self.node.alive():
            self.expect(False, f"the node died of {what}: " + " | ".join(self.node.lines[-3:]))
            self.node.start()

    def ends(self, bytes_sent, what):
        """Bytes on a bare connection: the node aborts or closes in time."""
        with socket.create_connection(("127.0.0.1", self.node.port), 10) as s:
            s.settimeout(ANSWER_SECONDS)
            with contextlib.suppress(ConnectionError, BrokenPipeError):
                s.sendall(bytes_sent)
                s.shutdown(socket.SHUT_WR)
            got = b""
            try:
                while part := s.recv(65536):
                    got += part
            except ConnectionError:
                pass
            except TimeoutError:
                self.expect(False, f"{what}: the connection hangs")
                return
        words = {0: "closed", 2: "accepted without it", 3: "rejected", 7: "aborted"}
        self.expect((got[0] if got else 0) in words, f"{what}: {words.get(got[0] if got else 0, got[:10].hex())}")
        self.alive(what)

    def inside(self, what, attack):
        """attack(association) after a good negotiation: ends in a status, an abort or a close."""
        try:
            a = Association(self.node.port, contexts=EVERYTHING, timeout=ANSWER_SECONDS)
        except (Rejected, *FAILED_OTHERWISE) as e:
            self.expect(False, f"{what}: no association ({e})")
            self.alive(what)
            return
        try:
            said = attack(a)
            good, told = said[0], said[1]
        except FAILED_OTHERWISE as e:
            good, told = True, f"{type(e).__name__} {e}"
        except TimeoutError:
            good, told = False, "no answer"
        finally:
            a.close()
        self.expect(good, f"{what}: {told}")
        self.alive(what)


# ---- bytes that are no DICOM ----

def bare_bytes(t):
    good = associate_rq("VITRINE", "HOSTILE", EVERYTHING)
    rng = random.Random(7)
    t.ends(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "an HTTP request")
    t.ends(bytes(rng.randrange(256) for _ in range(4096)), "random bytes")
    t.ends(good[:40], "half an association request")
    t.ends(good[:6] + b"\xff" * 200, "a request of 0xff")
    t.ends(pdu(1, good[6:], 0xFFFFFFFF), "a request that claims 4 GB")
    t.ends(pdu(1, good[6:], 3), "a request that claims 3 bytes")
    t.ends(pdu(4, bytes(100)), "data before an association")
    t.ends(pdu(5, bytes(4)), "a release before an association")
    t.ends(pdu(7, bytes(4)), "an abort before an association")
    t.ends(pdu(0x55, bytes(20)), "a PDU type nobody knows")
    t.ends(pdu(1, good[6:74] + b"\x10\0\xff\xff" + good[78:]), "an item longer than its PDU")
    t.ends(pdu(1, good[6:74]), "a request without items")
    many = [(f"1.2.3.{i}", [IMPLICIT]) for i in range(200)]
    t.ends(associate_rq("VITRINE", "HOSTILE", many), "200 presentation contexts")
    t.ends(pdu(1, good[6:] + item_flood()), "30,000 user items")


def item_flood():
    return b"".join(struct.pack(">BBH", 0x54, 0, 0) for _ in range(30000))


def lying_pdus(t):
    echo = command({0x0002: VERIFICATION, 0x0100: C_ECHO, 0x0110: 1, 0x0800: NO_DATA_SET})

    def sends(data):
        def attack(a):
            a.send(data)
            try:
                a.socket.shutdown(socket.SHUT_WR)
            except OSError as e:                     # the node was quicker to end it
                raise Closed(str(e)) from e
            _, values, _ = a.receive_message(ANSWER_SECONDS)
            return False, f"was answered {values}"
        return attack
    t.inside("a PDU of 4 GB", sends(pdu(4, pdv(1, echo, True, True), 0xFFFFFFFE)))
    t.inside("a PDU above the agreed maximum", sends(pdu(4, b"", 0x7FFFFFFF) + bytes(100000)))
    t.inside("a PDV of 4 GB", sends(pdu(4, struct.pack(">IBB", 0xFFFFFFFF, 1, 3) + echo)))
    t.inside("a PDV of 0 bytes", sends(pdu(4, struct.pack(">I", 0) + bytes(6))))
    t.inside("a PDV of 1 byte", sends(pdu(4, struct.pack(">IB", 1, 1))))
    t.inside("an empty P-DATA-TF", sends(pdu(4, b"")))
    t.inside("a P-DATA-TF of 2 bytes", sends(pdu(4, b"\0\0")))
    t.inside("a PDV on a context nobody agreed on", sends(pdu(4, pdv(99, echo, True, True))))
    t.inside("a data set before a command", sends(pdu(4, pdv(1, b"abcd", False, True))))
    t.inside("a second association request", sends(associate_rq("VITRINE", "HOSTILE", EVERYTHING)))
    t.inside("a release of 4 GB", sends(pdu(5, bytes(4), 0xFFFFFFFF)))
    t.inside("half a PDU, then the end", sends(pdu(4, pdv(1, echo, True, True))[:-9]))
    t.inside("a command without an end", sends(b"".join(pdu(4, pdv(1, bytes(16000), True, False)) for _ in range(20))))
    t.inside("an element of 4 GB in a command",
             sends(pdu(4, pdv(1, struct.pack("<HHI", 0, 0x0002, 0xFFFFFFF0) + bytes(64), True, True))))


# ---- nesting, bombs, claims ----

def nested(depth, implicit):
    """Sequences of undefined length in each other, never closed; as a peer would send them that means harm."""
    sequence = struct.pack("<HH", 0x0040, 0xA730) + (b"" if implicit else b"SQ\0\0") + b"\xff\xff\xff\xff"
    return (sequence + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)) * depth


def closed(depth):
    """The same, closed as it should be: lawful but for its depth."""
    end = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return nested(depth, False) + end * depth


def store_outcome(t, sop, data, context=None, sop_class=SECONDARY_CAPTURE):
    def attack(a):
        status, values = a.store(sop_class, sop, data, context, ANSWER_SECONDS)
        if status == 0 or status & 0xF000 == 0xB000:
            return True, f"stored ({status:04X})"
        return bool(status) and bool(comment_of(values)), f"{status:04X} '{comment_of(values)}'"
    return attack


def refused_outcome(t, sop, data, context=None, sop_class=SECONDARY_CAPTURE):
    inner = store_outcome(t, sop, data, context, sop_class)

    def attack(a):
        good, told = inner(a)
        return good and not told.startswith("stored"), told
    return attack


def deep(t):
    for name, data in (("closed", closed(NESTED)), ("open", nested(NESTED, False))):
        t.inside(f"{NESTED} nested sequences ({name}) in a data set",
                 refused_outcome(t, f"1.2.6.{len(name)}", instance(f"1.2.6.{len(name)}", extra=data)))

    def find(identifier):
        def attack(a):
            status, _, values = a.find(identifier, timeout=ANSWER_SECONDS)
            return status != 0 and bool(comment_of(values)), f"{status:04X} '{comment_of(values)}'"
        return attack
    level = element(0x00080052, "CS", "STUDY")
    t.inside(f"{NESTED} nested sequences in an identifier", find(level + closed(NESTED)))
    t.inside("an identifier element of 4 GB", find(level + struct.pack("<HH2sHI", 0x0010, 0x4000, b"UT", 0, 0xFFFFFFF0)))
    t.inside("an identifier of 4 MB", find(level + element(0x00104000, "UT", b" " * (4 << 20))))
    t.inside("an identifier of random bytes", find(random.Random(3).randbytes(3000)))
    t.inside("an empty identifier", find(b""))

    def command_set(a):
        a.send(pdu(4, pdv(1, implicit_element(0, struct.pack("<I", 12 * NESTED)) + nested(NESTED, True), True, True)))
        _, values, _ = a.receive_message(ANSWER_SECONDS)
        return False, f"was answered {values}"
    t.inside(f"{NESTED} nested sequences in a command set", command_set)


def bombs(t):
    head = instance("1.2.7.1", sop_class=CT, extra=b"")
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = deflate.compress(head[:-12 - 64])
    bomb += deflate.compress(struct.pack("<HH2sHI", 0x0029, 0x1010, b"OB", 0, 300 << 20))
    for _ in range(300):
        bomb += deflate.compress(bytes(1 << 20))
    bomb += deflate.flush()
    t.inside(f"a deflated data set of {len(bomb)} bytes that inflates to 300 MB", store_outcome(t, "1.2.7.1", bomb, 7, CT))
    t.inside("a deflated data set that is none", refused_outcome(t, "1.2.7.2", b"\xff" * 3000, 7, CT))
    t.inside("an element that claims 4 GB",
             refused_outcome(t, "1.2.7.3", struct.pack("<HH2sHI", 0x0008, 0x0016, b"OB", 0, 0xFFFFFFFE) + b"x"))
    t.inside("an element that claims 4 GB behind the identity",
             refused_outcome(t, "1.2.7.4", instance("1.2.7.4")[:-90] + struct.pack("<HH2sHI", 0x0029, 0x1010, b"UN", 0, 0xFFFFFFF0)))
    t.inside("pixel data that is shorter than it says", refused_outcome(t, "1.2.7.5", instance("1.2.7.5", pixels=bytes(5000))[:-3000]))
    t.inside("an empty data set", refused_outcome(t, "1.2.7.6", b""))
    t.inside("a data set of random bytes", refused_outcome(t, "1.2.7.7", random.Random(5).randbytes(20000)))
    t.inside("other UIDs in the command than in the data set", refused_outcome(t, "1.2.7.8", instance("1.2.7.9")))
    t.inside("a UID that climbs out of its folder", refused_outcome(t, "../../../etc/x", instance("../../../etc/x")))
    t.inside("no study UID", refused_outcome(t, "1.2.7.10", instance("1.2.7.10", study_uid="")))
    t.inside("100,000 empty private elements", store_outcome(t, "1.2.7.11", instance(
        "1.2.7.11", extra=b"".join(struct.pack("<HH2sH", 0x0021, 0x1000 + i % 0xE000, b"LO", 0) for i in range(100000)))))


# ---- crowds ----

def slow(t):
    """A byte now and then: the node must not wait for it with a thread of others."""
    sockets = []
    rq = associate_rq("VITRINE", "SLOW", EVERYTHING)
    for _ in range(32):
        s = socket.create_connection(("127.0.0.1", t.node.port), 10)
        s.send(rq[:10])
        sockets.append(s)
    begun = time.monotonic()
    for i in range(10, 60):
        for s in sockets:
            with contextlib.suppress(OSError):
                s.send(rq[i:i + 1])
        time.sleep(0.01)
    with Association(t.node.port) as a:
        t.expect(a.echo() == 0, f"an echo beside 32 slow senders ({time.monotonic() - begun:.2f} s)")
    for s in sockets:
        s.close()
    with Association(t.node.port, contexts=EVERYTHING) as a:      # slow inside an association
        data = pdu(4, pdv(1, command({0x0002: VERIFICATION, 0x0100: C_ECHO, 0x0110: 1, 0x0800: NO_DATA_SET}), True, True))
        for i in range(len(data)):
            a.send(data[i:i + 1])
            time.sleep(0.002)
        t.expect(a.receive_message()[1] is not None, "a slow but honest echo is answered")
    t.alive("slow senders")


def silent_crowd(t):
    crowd = [socket.create_connection(("127.0.0.1", t.node.port), 10) for _ in range(SILENT)]
    begun = time.monotonic()
    with Association(t.node.port) as a:
        t.expect(a.echo() == 0, f"an echo beside {SILENT} silent connections")
    t.expect(time.monotonic() - begun < ECHO_BOUND, f"within {time.monotonic() - begun:.4f} s")
    for s in crowd:
        s.close()
    t.alive("silent connections")


def full_house(t):
    """200 at once are served; at the limit the next one is told so; a place that is free again is given."""
    crowd, rejected = [], None
    try:
        for i in range(ASSOCIATIONS_MAX + 8):
            try:
                crowd.append(Association(t.node.port, calling=f"CROWD{i // 32}", contexts=EVERYTHING, timeout=10))
            except Rejected as e:
                rejected = e
                break
            if len(crowd) == SERVED_AT_ONCE:
                begun = time.monotonic()
                served = sum(a.echo() == 0 for a in crowd)
                t.expect(served == SERVED_AT_ONCE,
                         f"{served} associations at once are served, an echo each in {time.monotonic() - begun:.2f} s")
        t.expect(rejected is not None and rejected.result == 2 and rejected.source == 3 and rejected.reason == 2,
                 f"association {len(crowd) + 1} is refused: {rejected} (transient, presentation, local limit exceeded)")
        t.expect(SERVED_AT_ONCE < len(crowd) <= ASSOCIATIONS_MAX, f"the limit is at {len(crowd)}")
        crowd.pop().abort()
        deadline, again = time.monotonic() + 10, None
        while again is None and time.monotonic() < deadline:
            with contextlib.suppress(Rejected):
                again = Association(t.node.port, calling="CROWD9", timeout=10)
        t.expect(again is not None and again.echo() == 0, "a place that is free again is given")
        if again:
            crowd.append(again)
    finally:
        for a in crowd:
            a.abort()
    deadline = time.monotonic() + 20        # the next attack finds the house empty
    while time.monotonic() < deadline:
        with contextlib.suppress(Rejected, *FAILED_OTHERWISE):
            crowd = [Association(t.node.port, calling=f"AFTER{i // 32}", timeout=10) for i in range(64)]
            for a in crowd:
                a.abort()
            break
        time.sleep(0.2)
    t.alive("a full house")


def staged(folder):
    """What has bytes there: names are made ahead, so empty files are nobody's."""
    found = []
    for path in folder.glob("*"):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_size:
                found.append(path.name)
    return found


def dropouts(t):
    """Peers that vanish in the middle of an instance leave nothing behind."""
    data = instance("1.2.8.1", pixels=bytes(300000), rows=100)
    for cut in (10, 500, 100000):
        a = Association(t.node.port, contexts=EVERYTHING)
        context = a.context_of(SECONDARY_CAPTURE)
        a.send(pdu(4, pdv(context, command({0x0002: SECONDARY_CAPTURE, 0x0100: C_STORE, 0x0110: 1, 0x0700: 0, 0x0800: 0,
                                            0x1000: "1.2.8.1"}), True, True)))
        for at in range(0, cut, 10000):
            a.send(pdu(4, pdv(context, data[at:min(at + 10000, cut)], False, False)))
        a.close()
    deadline, left = time.monotonic() + 10, None
    while left != [] and time.monotonic() < deadline:
        left = staged(t.node.path / "staging")
        time.sleep(0.05)
    t.expect(not left, f"nothing of them stays in staging {left}")
    t.expect("1.2.8.1" not in nodes.object_files(t.node.path), "and nothing was stored")
    t.alive("dropouts")


# ---- files of the wide test data ----

def hostile_files(t):
    shared = nodes.shared_data()
    if shared is None:
        print("the wide test data is not here: its hostile files were left out", flush=True)
        return
    count = 0
    for path in sorted([*shared.glob("dicom/hostile/*"), *shared.glob("dicom/malformed/*")]):
        data = path.read_bytes()
        parts = split_part10(data) or (IMPLICIT, "", "", data)
        syntax, sop_class, sop, data_set = parts
        syntax = syntax if syntax.replace(".", "").isdigit() and len(syntax) <= 64 else EXPLICIT
        sop_class = sop_class if sop_class.replace(".", "").isdigit() and len(sop_class) <= 64 else SECONDARY_CAPTURE
        try:
            a = Association(t.node.port, contexts=[(sop_class, [syntax]), (SECONDARY_CAPTURE, [EXPLICIT, IMPLICIT])],
                            timeout=ANSWER_SECONDS)
        except (Rejected, *FAILED_OTHERWISE):
            t.alive(path.name)
            count += 1
            continue
        try:
            context = 1 if 1 in a.accepted else 3
            status, values = a.store(sop_class if context == 1 else SECONDARY_CAPTURE, sop or "1.2.9", data_set, context,
                                     ANSWER_SECONDS)
            if not (status == 0 or status & 0xF000 == 0xB000 or comment_of(values)):
                t.expect(False, f"{path.name}: {status:04X} without a reason")
        except FAILED_OTHERWISE:
            pass
        except (TimeoutError, KeyError) as e:
            t.expect(False, f"{path.name}: {type(e).__name__} {e}")
        finally:
            a.close()
        t.alive(path.name)
        count += 1
    t.expect(count > 20, f"{count} hostile and malformed files: each stored or refused with a reason")


ATTACKS = [bare_bytes, lying_pdus, deep, bombs, slow, silent_crowd, dropouts, hostile_files]


def watched(t, port, work):
    """Median, p99 and longest of a bystander's echoes during the work."""
    watch = Watch(port)
    watch.start()
    work()
    watch.over.set()
    watch.join(15)
    times = sorted(watch.times) or [99.0]
    t.expect(not watch.troubles, f"a bystander's {len(times)} echoes all came through {watch.troubles[:3]}")
    return times[len(times) // 2], times[int(len(times) * 0.99)], times[-1]


def main():
    with nodes.work_folder("hostile") as folder:
        node = nodes.Node(pathlib.Path(folder, "archive"))
        with node:
            t = Test(node)
            with Association(node.port) as a:      # first use of everything is not growth
                a.echo()
            before = node.rss()
            usual, _, _ = watched(t, node.port, lambda: time.sleep(USUAL_SECONDS))
            middle, late, longest = watched(t, node.port, lambda: [attack(t) for attack in ATTACKS])
            t.expect(middle < ECHO_MEDIAN + TIMES * usual and late < ECHO_BOUND + TIMES * usual,
                     f"and stayed quick: median {middle * 1e3:.1f} ms (without attacks {usual * 1e3:.1f} ms), p99 {late * 1e3:.1f} ms, "
                     f"longest {longest * 1e3:.1f} ms")
            full_house(t)
            grown = node.rss("VmHWM") - before
            t.expect(grown < MEMORY_BOUND, f"memory grew by {grown / 1e6:.1f} MB at most")
            with Association(node.port, contexts=EVERYTHING) as a:
                good = a.store(SECONDARY_CAPTURE, "1.2.10.1", instance("1.2.10.1", "1.2.10", "1.2.10.0"))
                t.expect(good[0] == 0, "and an honest instance is stored after all that")
            t.expect(node.stop() == 0, "the node ends cleanly")
    print(f"{len(t.faults)} faults" if t.faults else "passed")
    return 1 if t.faults else 0


if __name__ == "__main__":
    sys.exit(main())
