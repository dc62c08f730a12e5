#!/usr/bin/python3
"""Associations as no toolkit makes them: limits, titles, roles, odd syntaxes, wrong messages, slow and silent peers, many at once."""
import os
import pathlib
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rawdicom as raw
import rawget
from cases import equal, run
from node import BIN, Node, object_files, work_folder

STORE = [(raw.SECONDARY_CAPTURE, [raw.EXPLICIT])]
FIND = [(raw.STUDY_FIND, [raw.EXPLICIT])]
HTJ2K, JPEG_XL, DEFLATED_FRAME = "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.8.1"
PRIVATE_SYNTAX, PRIVATE_CLASS = "1.2.840.113619.5.2", "1.3.46.670589.5.0.1"
STUDY = "1.2.826.0.1.3680043.8.498.88"
MANY = 10000
UPS_PUSH = "1.2.840.10008.5.1.4.34.6.1"  # a service that is not offered


class Watched(raw.Association):
    """Keeps the A-ASSOCIATE-AC."""
    def _read_ac(self, body):
        self.ac, self.results, self.user = body, {}, {}
        super()._read_ac(body)
        at = 68
        while at + 4 <= len(body):
            kind, _, length = struct.unpack_from(">BBH", body, at)
            sub = body[at + 4:at + 4 + length]
            if kind == 0x21:
                self.results[sub[0]] = sub[2]
            elif kind == 0x50:
                inner = 0
                while inner + 4 <= len(sub):
                    sub_kind, _, size = struct.unpack_from(">BBH", sub, inner)
                    self.user.setdefault(sub_kind, []).append(sub[inner + 4:inner + 4 + size])
                    inner += 4 + size
            at += 4 + length


def rejected(port, **more):
    try:
        raw.Association(port, **more).close()
    except raw.Rejected as e:
        return e.result, e.source, e.reason
    return None


def ended(association, seconds):
    """How the node ended it within that time: aborted, closed; None: it did not."""
    try:
        association.receive_pdu(seconds)
    except raw.Aborted:
        return "aborted"
    except raw.Closed:
        return "closed"
    except TimeoutError:
        return None
    return "answered"


def fast_echo(port, most=0.25):
    """A new association and its C-ECHO, in seconds; fails beyond `most`."""
    begun = time.monotonic()
    with raw.Association(port, calling="PROBE") as a:
        equal(a.echo(), 0)
        took = time.monotonic() - begun
    if took > most:
        raise AssertionError(f"a C-ECHO took {took * 1000:.0f} ms")
    return took


def in_threads(count, work):
    """work(k) in so many threads; the first exception is raised again."""
    faults, results = [], [None] * count

    def one(k):
        try:
            results[k] = work(k)
        except BaseException as e:
            faults.append(e)
    threads = [threading.Thread(target=one, args=(k,)) for k in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
    if faults:
        raise faults[0]
    return results


class World:
    def __init__(self, folder):
        self.folder, self.sink = pathlib.Path(folder), rawget.StorageScp()
        self.node = Node(self.folder / "main", [f"peer.SINK.port={self.sink.port}", "peer.SINK.host=127.0.0.1"])

    def other(self, name, *options):
        return Node(self.folder / name, options)


# ---- who may associate ----

def case_a_wrong_called_title_is_rejected(world):
    equal(rejected(world.node.port, called="NOBODY"), (1, 1, 7))
    with world.other("titles", "dicom.more_titles=NIGHT DAY", "dicom.ae_compare=nocase") as node:
        for title in ("vitrine", "night", "DAY"):
            raw.Association(node.port, called=title).close()
        equal(rejected(node.port, called="NOBODY"), (1, 1, 7))
    with world.other("any", "dicom.accept_any_called_ae=yes") as node:
        raw.Association(node.port, called="NOBODY").close()


def case_unknown_and_misplaced_peers_are_rejected_alike(world):
    with world.other("peers", "dicom.unknown_peers=refuse", "peer.CT1.from=127.0.0.1", "peer.CT2.from=10.0.0.0/8",
                     "peer.CT3.host=127.0.0.1", "peer.CT3.port=104", "peer.CT3.allow=echo") as node:
        equal(rejected(node.port, calling="STRANGER"), (1, 1, 3))
        equal(rejected(node.port, calling="CT2"), (1, 1, 3))
        raw.Association(node.port, calling="CT1").close()
        with Watched(node.port, calling="CT3", contexts=[(raw.VERIFICATION, [raw.IMPLICIT])] + FIND + STORE) as a:
            equal(a.results, {1: 0, 3: 1, 5: 1}, "results of echo, find, store")
            equal(a.echo(), 0)


def case_beyond_the_limits_there_is_a_slot_for_an_echo_and_a_clear_rejection(world):
    with world.other("limits", "dicom.max_associations=8", "dicom.max_per_peer=5") as node:
        held = [raw.Association(node.port, calling="A", contexts=FIND) for _ in range(5)]
        equal(rejected(node.port, calling="A", contexts=FIND), (2, 3, 2), "per peer")
        held += [raw.Association(node.port, calling="B", contexts=FIND) for _ in range(3)]
        equal(rejected(node.port, calling="C", contexts=FIND), (2, 3, 2), "in all")
        spare = raw.Association(node.port, calling="C")
        equal(spare.echo(), 0)
        equal(rejected(node.port, calling="D"), (2, 3, 2), "the spare slot is taken")
        spare.release()
        spare.close()
        wait_for(lambda: rejected(node.port, calling="D") is None)
        for a in held:
            a.release()
            a.close()
        wait_for(lambda: rejected(node.port, calling="C", contexts=FIND) is None)
        if not any("association.refused" in line for line in node.lines):
            raise AssertionError("no log line")


def wait_for(true, seconds=5):
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError("it did not become so")
        time.sleep(0.02)


def case_two_hundred_associations_are_served_at_once(world):
    held = [raw.Association(world.node.port, calling=f"M{k % 4}", contexts=[(raw.VERIFICATION, [raw.IMPLICIT])] + STORE)
            for k in range(200)]
    for k, a in enumerate(held):
        equal(a.echo(), 0)
    fast_echo(world.node.port)
    statuses = in_threads(200, lambda k: held[k].store(raw.SECONDARY_CAPTURE, f"{STUDY}.200.1.{k}", raw.instance(
        f"{STUDY}.200.1.{k}", study_uid=f"{STUDY}.200", series_uid=f"{STUDY}.200.1", number=k))[0])
    equal(set(statuses), {0})
    equal(rejected(world.node.port, calling="M0") is None, True)
    more = [raw.Association(world.node.port, calling="M0", contexts=STORE) for _ in range(14)]
    equal(rejected(world.node.port, calling="M0", contexts=STORE), (2, 3, 2), "the 65th of one peer")
    for a in held + more:
        a.release()
        a.close()


# ---- contexts ----

def case_128_contexts_are_negotiated(world):
    contexts = [(raw.SECONDARY_CAPTURE, [s]) for s in (raw.EXPLICIT, raw.IMPLICIT, HTJ2K, JPEG_XL, DEFLATED_FRAME, raw.BIG_ENDIAN,
                                                       raw.DEFLATED, raw.JPEG_BASELINE)] * 16
    with Watched(world.node.port, contexts=contexts) as a:
        equal(len(a.results), 128)
        equal(set(a.results.values()), {0})
        for i, (_, syntaxes) in enumerate(contexts):
            equal(a.accepted[2 * i + 1], syntaxes[0])


def case_odd_syntaxes_are_stored_and_come_back_unchanged(world):
    for n, syntax in enumerate((HTJ2K, JPEG_XL, DEFLATED_FRAME, "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.100",
                                "1.2.840.10008.1.2.4.107", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.51")):
        uid, study = f"{STUDY}.30.{n}.1.1", f"{STUDY}.30.{n}"
        data_set = raw.instance(uid, study_uid=study, series_uid=f"{study}.1", pixels=b"")[:-12]
        fragment = bytes(range(256)) * 3
        data_set += (struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0) +
                     struct.pack("<HHI", 0xFFFE, 0xE000, len(fragment)) + fragment + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))
        with raw.Association(world.node.port, contexts=[(raw.SECONDARY_CAPTURE, [syntax])]) as a:
            equal(a.store(raw.SECONDARY_CAPTURE, uid, data_set)[0], 0, syntax)
        contexts = [(raw.STUDY_GET, [raw.EXPLICIT]), (raw.SECONDARY_CAPTURE, [raw.EXPLICIT]), (raw.SECONDARY_CAPTURE, [syntax])]
        with raw.Association(world.node.port, contexts=contexts, roles=[raw.SECONDARY_CAPTURE]) as a:
            status, found, _, _ = rawget.get(a, rawget.keys("STUDY", study=study))
        equal((status, list(found)), (0, [uid]))
        equal(found[uid], (5, data_set), syntax)


def case_private_syntaxes_and_classes_are_taken_by_option_only(world):
    contexts = [(raw.SECONDARY_CAPTURE, [PRIVATE_SYNTAX]), (PRIVATE_CLASS, [raw.EXPLICIT]), (raw.CT, [PRIVATE_SYNTAX, raw.IMPLICIT])]
    with Watched(world.node.port, contexts=contexts) as a:
        equal(a.results, {1: 4, 3: 3, 5: 0})
    with world.other("private", f"dicom.private_syntaxes={PRIVATE_SYNTAX} implicit-le", "dicom.accept_unknown_storage=yes") as node:
        uid = f"{STUDY}.40.1.1"
        data_set = raw.instance(uid, study_uid=f"{STUDY}.40", series_uid=f"{STUDY}.40.1", sop_class=PRIVATE_CLASS)
        with Watched(node.port, contexts=contexts) as a:
            equal(a.results, {1: 0, 3: 0, 5: 0})
            equal(a.store(PRIVATE_CLASS, uid, data_set)[0], 0)
        with raw.Association(node.port, contexts=[(raw.STUDY_GET, [raw.EXPLICIT]), (PRIVATE_CLASS, [raw.EXPLICIT])],
                             roles=[PRIVATE_CLASS]) as a:
            status, found, _, _ = rawget.get(a, rawget.keys("STUDY", study=f"{STUDY}.40"))
            equal((status, found[uid][1]), (0, data_set))


def case_services_take_explicit_or_implicit_only(world):
    contexts = [(raw.STUDY_FIND, [raw.IMPLICIT, raw.EXPLICIT]), (raw.STUDY_FIND, [raw.BIG_ENDIAN, raw.IMPLICIT]),
                (raw.STUDY_FIND, [raw.DEFLATED]), ("1.2.840.10008.5.1.4.31", [raw.EXPLICIT]), ("1.2.840.10008.1.20.1", [raw.EXPLICIT]),
                (UPS_PUSH, [raw.EXPLICIT])]
    with Watched(world.node.port, contexts=contexts) as a:
        equal(a.results, {1: 0, 3: 0, 5: 4, 7: 0, 9: 0, 11: 3})
        equal((a.accepted[1], a.accepted[3]), (raw.EXPLICIT, raw.IMPLICIT))


def case_extended_negotiation_is_answered_byte_by_byte(world):
    def offer(uid, info):
        return raw.item(0x56, struct.pack(">H", len(uid)) + uid.encode() + info)
    items = offer(raw.STUDY_FIND, b"\1\1\1\1\1") + offer(raw.STUDY_GET, b"\1\1")
    with Watched(world.node.port, contexts=FIND + [(raw.STUDY_GET, [raw.EXPLICIT])], user_items=items) as a:
        answers = {}
        for body in a.user.get(0x56, []):
            size, = struct.unpack_from(">H", body)
            answers[body[2:2 + size].decode()] = body[2 + size:]
        equal(answers, {raw.STUDY_FIND: b"\1\1\0\0\0", raw.STUDY_GET: b"\1\0"})
    with Watched(world.node.port, contexts=FIND) as a:
        equal(a.user.get(0x56), None, "nothing offered, nothing answered")


def case_small_and_large_pdus_carry_the_same_bytes(world):
    uid, pixels = f"{STUDY}.50.1.1", bytes(i * 31 % 251 for i in range(300000))
    data_set = raw.instance(uid, study_uid=f"{STUDY}.50", series_uid=f"{STUDY}.50.1", pixels=pixels, rows=300)
    with raw.Association(world.node.port, contexts=STORE) as a:
        equal(a.store(raw.SECONDARY_CAPTURE, uid, data_set)[0], 0)
    for max_pdu in (4096, 16384, 131072):
        with raw.Association(world.node.port, contexts=[(raw.STUDY_GET, [raw.EXPLICIT])] + STORE, roles=[raw.SECONDARY_CAPTURE],
                             max_pdu=max_pdu) as a:
            status, found, _, _ = rawget.get(a, rawget.keys("STUDY", study=f"{STUDY}.50"))
            equal((status, found[uid][1]), (0, data_set), max_pdu)


def identity_item(kind, wanted, primary, secondary=b""):
    return raw.item(0x58, bytes([kind, wanted]) + struct.pack(">H", len(primary)) + primary +
                    struct.pack(">H", len(secondary)) + secondary)


def case_users_are_answered_only_where_they_are_looked_at(world):
    items = [identity_item(1, 1, b"user"), identity_item(2, 1, b"user", b"pass"), identity_item(1, 0, b"user"),
             identity_item(3, 1, b"ticket"), identity_item(5, 1, b"token")]
    for item in items:
        with Watched(world.node.port, user_items=item) as a:
            equal(a.user.get(0x59), None, item)
            equal(a.echo(), 0)
    with world.other("users", "dicom.identity=check", "user.user.role=viewer") as node:
        for item, answer in zip(items, ([b"\0\0"], "refused", None, None, None)):
            try:
                with Watched(node.port, user_items=item) as a:
                    equal(a.user.get(0x59), answer, item)
            except raw.Rejected as e:
                equal((answer, e.result, e.source, e.reason), ("refused", 1, 1, 1), item)


def case_the_largest_pdu_is_the_configured_one(world):
    equal(raw.Association(world.node.port).peer_max_pdu, 131072)
    with world.other("pdu", "dicom.max_pdu=16K") as node:
        uid = f"{STUDY}.55.1.1"
        data_set = raw.instance(uid, study_uid=f"{STUDY}.55", series_uid=f"{STUDY}.55.1", pixels=bytes(50000), rows=50)
        with raw.Association(node.port, contexts=STORE) as a:
            equal(a.peer_max_pdu, 16384)
            equal(a.store(raw.SECONDARY_CAPTURE, uid, data_set)[0], 0)
        for size, end in ((16384, "answered"), (16385, "aborted")):
            a = raw.Association(node.port, contexts=STORE)
            a.send(raw.pdu(4, raw.pdv(1, raw.command({0x0002: raw.SECONDARY_CAPTURE, 0x0100: raw.C_STORE, 0x0110: 1, 0x0700: 0,
                                                      0x0800: 0, 0x1000: uid}), True, True)) +
                   raw.pdu(4, raw.pdv(1, data_set[:size - 6], False, False)) + raw.pdu(4, raw.pdv(1, data_set[size - 6:size], False, True)))
            equal(ended(a, 5), end, size)
            a.close()


# ---- messages ----

def case_wrong_messages_get_their_status_and_the_association_goes_on(world):
    contexts = [(raw.VERIFICATION, [raw.IMPLICIT])] + STORE + FIND
    with raw.Association(world.node.port, contexts=contexts) as a:
        def ask(context, elements, data_set=None):
            a.send_message(context, {0x0110: a.next_id(), 0x0800: 0 if data_set is not None else raw.NO_DATA_SET, **elements},
                           data_set)
            return raw.us(a.receive_message()[1], 0x0900)
        data_set = raw.instance("1.2.3", study_uid="1.2", series_uid="1.2.1")
        key = rawget.keys("STUDY", study="1.2")
        equal(ask(1, {0x0003: raw.VERIFICATION, 0x0100: 0x0110, 0x1001: "1.2.3"}), 0x0211, "N-GET")
        equal(ask(1, {0x0002: raw.VERIFICATION, 0x0100: 0x0077}), 0x0211, "an unknown field")
        equal(ask(3, {0x0002: raw.STUDY_FIND, 0x0100: raw.C_FIND}, key), 0x0122, "C-FIND on a storage context")
        equal(ask(5, {0x0002: raw.VERIFICATION, 0x0100: raw.C_ECHO}), 0x0122, "C-ECHO on a find context")
        equal(ask(3, {0x0002: raw.CT, 0x0100: raw.C_STORE, 0x0700: 0, 0x1000: "1.2.3"}, data_set), 0x0122, "another class")
        equal(ask(3, {0x0002: raw.SECONDARY_CAPTURE, 0x0100: raw.C_STORE, 0x0700: 0, 0x1000: "no uid"}, data_set), 0x0117, "no UID")
        equal(ask(3, {0x0002: raw.SECONDARY_CAPTURE, 0x0100: raw.C_STORE, 0x0700: 0, 0x1000: "1." * 32 + "1"}, data_set), 0x0117,
              "a UID of 65 characters")
        equal(ask(3, {0x0002: raw.SECONDARY_CAPTURE, 0x0100: raw.C_STORE, 0x0700: 0, 0x1000: "1.2.9"}, data_set), 0xA900,
              "UIDs that differ")
        equal(ask(3, {0x0002: raw.SECONDARY_CAPTURE, 0x0100: raw.C_STORE, 0x0700: 0, 0x1000: "1.2.3"}), 0xC000, "no data set")
        equal(ask(5, {0x0002: raw.STUDY_FIND, 0x0100: raw.C_FIND, 0x0700: 0}), 0xA900, "no identifier")
        a.send_message(5, {0x0100: raw.C_CANCEL, 0x0120: 1, 0x0800: raw.NO_DATA_SET})
        equal(a.echo(), 0, "a late cancel is ignored")


def case_an_answer_that_nobody_asked_for_is_an_abort(world):
    a = raw.Association(world.node.port)
    a.send_message(1, {0x0002: raw.VERIFICATION, 0x0100: 0x8030, 0x0120: 1, 0x0800: raw.NO_DATA_SET, 0x0900: 0})
    equal(ended(a, 5), "aborted")
    a.close()


def case_a_large_identifier_is_answered_and_the_association_goes_on(world):
    key = raw.element(0x00080052, "CS", "STUDY") + raw.element(0x00104000, "LT", "x" * 60000) + raw.element(
        0x00321060, "UT", "y" * (3 << 20))
    with raw.Association(world.node.port, contexts=FIND) as a:
        equal(a.find(key)[0], 0xA700)
        equal(a.find(rawget.keys("STUDY", study="1.2.3.4"))[0], 0)


# ---- many matches ----

def store_many(world):
    """10,000 small instances of one series, over eight associations."""
    def work(k):
        with raw.Association(world.node.port, calling=f"FILL{k}", contexts=STORE) as a:
            for i in range(k, MANY, 8):
                uid = f"{STUDY}.60.1.{i + 1}"
                status, values = a.store(raw.SECONDARY_CAPTURE, uid, raw.instance(
                    uid, study_uid=f"{STUDY}.60", series_uid=f"{STUDY}.60.1", patient_id="MANY", number=i + 1, pixels=b"\0" * 16))
                equal(status, 0, raw.comment_of(values))
    in_threads(8, work)


WIDE = b"".join(raw.element(tag, vr, "") for tag, vr in (
    (0x00080016, "UI"), (0x00080018, "UI"), (0x00080020, "DA"), (0x00080030, "TM"), (0x00080050, "SH"))) + raw.element(
    0x00080052, "CS", "IMAGE") + b"".join(raw.element(tag, vr, value) for tag, vr, value in (
        (0x00080060, "CS", ""), (0x00100010, "PN", ""), (0x00100020, "LO", ""), (0x0020000D, "UI", STUDY + ".60"),
        (0x0020000E, "UI", STUDY + ".60.1"), (0x00200010, "SH", ""), (0x00200011, "IS", ""), (0x00200013, "IS", "")))


def case_ten_thousand_matches_arrive_in_order(world):
    store_many(world)
    with raw.Association(world.node.port, contexts=FIND) as a:
        begun = time.monotonic()
        status, found, _ = a.find(WIDE)
        print(f"     {len(found)} matches in {time.monotonic() - begun:.2f} s")
        equal((status, len(found)), (0, MANY))
        numbers = [int(raw.text(raw.elements_of(m), 0x00200013)) for m in found[:200] + found[-3:]]
        equal(numbers, list(range(1, 201)) + [MANY - 2, MANY - 1, MANY])


def cancelled_find(a, after, read_slowly=0.0):
    asked = a.next_id()
    a.send_message(1, {0x0002: raw.STUDY_FIND, 0x0100: raw.C_FIND, 0x0110: asked, 0x0700: 0, 0x0800: 0}, WIDE)
    matches, cancelled_at = 0, None
    while True:
        _, values, _ = a.receive_message()
        status = raw.us(values, 0x0900)
        if status not in (0xFF00, 0xFF01):
            return status, matches, time.monotonic() - cancelled_at
        matches += 1
        if matches == after:
            a.send_message(1, {0x0100: raw.C_CANCEL, 0x0120: asked, 0x0800: raw.NO_DATA_SET})
            cancelled_at = time.monotonic()


def case_a_cancel_in_the_middle_of_ten_thousand_matches_ends_them(world):
    a = raw.Association(world.node.port, contexts=FIND, max_pdu=4096)
    for _ in range(5):                   # a busy machine may have answered them all before the cancel was sent
        status, found, took = cancelled_find(a, 1)
        if found < MANY:
            break
    equal(status, 0xFE00)
    print(f"     {found} of {MANY} had been sent, {took * 1000:.1f} ms after the cancel")
    if took > 1:
        raise AssertionError("the cancel came too late")
    equal(a.find(rawget.keys("STUDY", study=f"{STUDY}.60"))[0], 0, "the association goes on")
    a.release()
    a.close()


def case_findscu_cancels(world):
    done = subprocess.run(["findscu", "-v", "-S", "--cancel", "5", "-k", "QueryRetrieveLevel=IMAGE", "-k", f"StudyInstanceUID={STUDY}.60",
                           "-k", f"SeriesInstanceUID={STUDY}.60.1", "-k", "SOPInstanceUID", "-aec", "VITRINE", "127.0.0.1",
                           str(world.node.port)], capture_output=True, text=True, errors="replace", timeout=60, check=False)
    equal(done.returncode, 0, done.stdout + done.stderr)


def case_a_second_request_while_one_runs_is_an_abort(world):
    a = raw.Association(world.node.port, contexts=FIND, max_pdu=4096)
    one, two = (raw.pdu(4, raw.pdv(1, raw.command({0x0002: raw.STUDY_FIND, 0x0100: raw.C_FIND, 0x0110: n, 0x0700: 0, 0x0800: 0}), True, True)) +
                raw.pdu(4, raw.pdv(1, WIDE, False, True)) for n in (1, 2))
    a.send(one + two)
    try:
        while True:
            a.receive_pdu(10)
    except raw.Aborted:
        pass
    a.close()


def case_more_matches_than_allowed_are_A700(world):
    world.node.stop()
    world.node.options += ["-o", "query.max_matches=500"]
    world.node.command += ["-o", "query.max_matches=500"]
    world.node.start()
    with raw.Association(world.node.port, contexts=FIND) as a:
        status, found, values = a.find(WIDE)
        equal((status, len(found)), (0xA700, 500))
        if "500" not in raw.comment_of(values):
            raise AssertionError(raw.comment_of(values))


# ---- many at once ----

def case_the_same_instance_from_many_associations_is_kept_once(world):
    uid = f"{STUDY}.70.1.1"
    data_set = raw.instance(uid, study_uid=f"{STUDY}.70", series_uid=f"{STUDY}.70.1", pixels=bytes(range(256)) * 1000, rows=256)

    def work(k):
        with raw.Association(world.node.port, calling=f"TWIN{k}", contexts=STORE) as a:
            return [a.store(raw.SECONDARY_CAPTURE, uid, data_set)[0] for _ in range(5)]
    equal({s for statuses in in_threads(8, work) for s in statuses}, {0})
    equal(len(object_files(world.node.path)[uid]), 1)


def case_eight_associations_move_and_get_one_study_at_once(world):
    study, world.sink.instances = f"{STUDY}.80", {}
    with raw.Association(world.node.port, contexts=STORE) as a:
        sets = {}
        for i in range(1, 41):
            uid = f"{study}.1.{i}"
            sets[uid] = raw.instance(uid, study_uid=study, series_uid=f"{study}.1", number=i, pixels=bytes([i]) * 65536, rows=256)
            equal(a.store(raw.SECONDARY_CAPTURE, uid, sets[uid])[0], 0)

    def work(k):
        if k % 2:
            with raw.Association(world.node.port, calling=f"M{k}", contexts=[(raw.STUDY_MOVE, [raw.EXPLICIT])]) as b:
                status, final, _ = rawget.move(b, "SINK", rawget.keys("STUDY", study=study))
                return status, raw.us(final, 0x1021)
        with raw.Association(world.node.port, calling=f"G{k}", contexts=[(raw.STUDY_GET, [raw.EXPLICIT])] + STORE,
                             roles=[raw.SECONDARY_CAPTURE]) as b:
            status, found, final, _ = rawget.get(b, rawget.keys("STUDY", study=study))
            equal({uid: body for uid, (_, body) in found.items()}, sets)
            return status, raw.us(final, 0x1021)
    equal(set(in_threads(8, work)), {(0, 40)})
    equal({uid: body for uid, (_, body) in world.sink.instances.items()}, sets)


# ---- slow and silent ----

def case_silent_and_idle_peers_delay_nobody(world):
    silent = [socket.create_connection(("127.0.0.1", world.node.port)) for _ in range(50)]
    half = [socket.create_connection(("127.0.0.1", world.node.port)) for _ in range(10)]
    for s in half:
        s.sendall(raw.associate_rq("VITRINE", "HALF", [(raw.VERIFICATION, [raw.IMPLICIT])])[:60])
    idle = [raw.Association(world.node.port, calling="IDLE") for _ in range(64)]
    times = sorted(fast_echo(world.node.port) for _ in range(20))
    print(f"     echo with them: median {times[10] * 1000:.2f} ms, worst {times[-1] * 1000:.2f} ms")
    for s in silent + half:
        s.close()
    for a in idle:
        a.close()


def case_idle_associations_that_stored_give_their_memory_back(world):
    def store(k, held):
        uid = f"{STUDY}.96.1.{k}"
        return held[k].store(raw.SECONDARY_CAPTURE, uid, raw.instance(
            uid, study_uid=f"{STUDY}.96", series_uid=f"{STUDY}.96.1", number=k, pixels=bytes(60000), rows=60))[0]
    with world.other("rest") as node:
        before, held = node.rss("RssAnon"), [raw.Association(node.port, calling=f"R{k % 4}", contexts=STORE) for k in range(200)]
        equal({store(k, held) for k in range(200)}, {0})
        busy = node.rss("RssAnon")
        program = (BIN / "vitrined").read_bytes()
        if b"__asan_init" not in program and b"__tsan_init" not in program:      # their allocators keep what is freed
            wait_for(lambda: node.rss("RssAnon") - before < (busy - before) // 2, 15)
        rested = node.rss("RssAnon")
        print(f"     200 associations: {(busy - before) >> 10} kB when all have stored, {(rested - before) >> 10} kB at rest")
        equal({store(k, held) for k in range(200)}, {0}, "and they go on")
        for a in held:
            a.close()


def case_who_does_not_read_its_answers_holds_up_nobody(world):
    lazy = raw.Association(world.node.port, calling="LAZY", contexts=[(raw.STUDY_GET, [raw.EXPLICIT])] + STORE,
                           roles=[raw.SECONDARY_CAPTURE])
    lazy.send_message(1, {0x0002: raw.STUDY_GET, 0x0100: raw.C_GET, 0x0110: 1, 0x0700: 0, 0x0800: 0},
                      rawget.keys("STUDY", study=f"{STUDY}.80"))
    half = raw.Association(world.node.port, calling="HALF", contexts=STORE)
    half.send(raw.pdu(4, raw.pdv(1, raw.command({0x0002: raw.SECONDARY_CAPTURE, 0x0100: raw.C_STORE, 0x0110: 1, 0x0700: 0, 0x0800: 0,
                                                 0x1000: "1.2.3"}), True, True)))
    fast_echo(world.node.port)
    with raw.Association(world.node.port, contexts=STORE) as a:
        uid = f"{STUDY}.90.1.1"
        equal(a.store(raw.SECONDARY_CAPTURE, uid, raw.instance(uid, study_uid=f"{STUDY}.90", series_uid=f"{STUDY}.90.1"))[0], 0)
    lazy.abort()
    half.abort()


def case_an_idle_association_is_ended_after_its_time(world):
    with world.other("idle", "dicom.idle=1", "dicom.artim=1", "peer.SLOW.timeout=20") as node:
        a, slow = raw.Association(node.port), raw.Association(node.port, calling="SLOW")
        silent = socket.create_connection(("127.0.0.1", node.port))
        begun = time.monotonic()
        equal(ended(a, 20), "aborted")
        if not 0.8 < time.monotonic() - begun < 15:      # SLOW, which has 20 s, is asked afterwards
            raise AssertionError(f"after {time.monotonic() - begun:.1f} s")
        silent.settimeout(20)
        silent.recv(100)
        equal(slow.echo(), 0, "a peer with a timeout of its own")
        wait_for(lambda: any("association.failed" in line and "how=timeout" in line for line in node.lines))
        slow.close()


def staged_bytes(world):
    total = 0
    for entry in os.scandir(world.node.path / "staging"):
        try:
            total += entry.stat().st_size
        except FileNotFoundError:
            pass
    return total


def case_an_association_that_is_cut_in_a_data_set_leaves_nothing(world):
    before = len(object_files(world.node.path))
    uid = f"{STUDY}.95.1.1"
    data_set = raw.instance(uid, study_uid=f"{STUDY}.95", series_uid=f"{STUDY}.95.1", pixels=bytes(500000), rows=500)
    a = raw.Association(world.node.port, contexts=STORE)
    a.send(raw.pdu(4, raw.pdv(1, raw.command({0x0002: raw.SECONDARY_CAPTURE, 0x0100: raw.C_STORE, 0x0110: 1, 0x0700: 0, 0x0800: 0,
                                              0x1000: uid}), True, True)) + raw.pdu(4, raw.pdv(1, data_set[:60000], False, False)))
    a.abort()
    wait_for(lambda: staged_bytes(world) == 0)       # names may be made ahead, so empty files are nobody's
    equal(len(object_files(world.node.path)), before)
    with raw.Association(world.node.port, contexts=FIND) as b:
        equal(b.find(rawget.keys("STUDY", study=f"{STUDY}.95"))[1], [])


def case_the_environment_of_dcmtk_s_tools_does_not_disturb_the_node(world):
    with Node(world.folder / "environment", environment={"TCP_NODELAY": "1", "TCP_BUFFER_LENGTH": "65536"}) as node:
        fast_echo(node.port)


# ---- the end ----

def case_sigterm_ends_at_once_with_idle_associations(world):
    node = world.other("stop").start()
    held = [raw.Association(node.port) for _ in range(10)]
    begun = time.monotonic()
    equal(node.stop(), 0)
    if time.monotonic() - begun > 3:
        raise AssertionError(f"{time.monotonic() - begun:.1f} s")
    for a in held:
        a.close()


def main():
    with work_folder("associations") as folder:
        world = World(folder)
        with world.node:
            status = run(globals(), world)
        if world.node.process.returncode != 0:
            print("vitrined ended with", world.node.process.returncode, *world.node.lines[-20:], sep="\n")
            status = 1
        world.sink.close()
    return status


if __name__ == "__main__":
    sys.exit(main())
