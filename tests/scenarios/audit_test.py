#!/usr/bin/python3
"""The audit trail as others read it: XML of PS3.15 A.5 in a file and at a syslog server by UDP and TLS; and users that peers name."""
import base64
import pathlib
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET

import cases
from cases import equal, until
from node import Node, work_folder
from rawdicom import (EXPLICIT, IMPLICIT, SECONDARY_CAPTURE, STUDY_FIND, STUDY_GET, VERIFICATION, Association, Rejected, element,
                      instance, us)

WAIT = 60
NAME = "Geheim^Petra"


class Message:
    def __init__(self, text):
        self.root = ET.fromstring(text[text.index("<?xml"):].encode())
        event = self.root.find("EventIdentification")
        self.event, self.outcome = event.find("EventID").get("csd-code"), event.get("EventOutcomeIndicator")
        kind = event.find("EventTypeCode")
        self.type = kind.get("csd-code") if kind is not None else None
        self.text = event.findtext("EventOutcomeDescription") or ""
        self.users = [p.get("UserID") for p in self.root.findall("ActiveParticipant")]
        self.hosts = [p.get("NetworkAccessPointID") for p in self.root.findall("ActiveParticipant")]
        self.objects = {o.find("ParticipantObjectIDTypeCode").get("originalText"): o
                        for o in self.root.findall("ParticipantObjectIdentification")}

    def id(self, kind):
        return self.objects[kind].get("ParticipantObjectID") if kind in self.objects else None


class Trail:
    def __init__(self, path):
        self.path = path

    def messages(self):
        return [Message(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []

    def find(self, event, **wanted):
        def fits(m):
            return m.event == event and all(getattr(m, key) == value for key, value in wanted.items())
        return until(lambda: [m for m in self.messages() if fits(m)], f"a message {event} {wanted}")[-1]


def case_the_start_is_written(_node, trail):
    m = trail.find("110100", type="110120")
    equal((m.users, m.outcome), (["VITRINE"], "0"))


def case_instances_that_came_are_written_by_study_with_the_patient(node, trail):
    with Association(node.port, calling="CT1", contexts=[(SECONDARY_CAPTURE, [EXPLICIT])]) as a:
        for i in range(3):
            equal(a.store(SECONDARY_CAPTURE, f"1.3.{i}", instance(f"1.3.{i}", study_uid="1.2.5", patient_id="P-17", patient_name=NAME))[0], 0)
    m = trail.find("110104")
    equal((m.users, m.hosts[0], m.id("Study Instance UID"), m.id("Patient Number")), (["CT1", "VITRINE"], "127.0.0.1", "1.2.5", "P-17"))
    sop = m.objects["Study Instance UID"].find("ParticipantObjectDescription/SOPClass")
    equal((sop.get("UID"), sop.get("NumberOfInstances")), (SECONDARY_CAPTURE, "3"))
    equal(m.objects["Patient Number"].findtext("ParticipantObjectName"), NAME)


def case_a_query_is_written_as_it_came(node, trail):
    identifier = element(0x00080052, "CS", "STUDY") + element(0x00100020, "LO", "P-17") + element(0x0020000D, "UI", "")
    with Association(node.port, calling="WS1", contexts=[(STUDY_FIND, [EXPLICIT])]) as a:
        equal(len(a.find(identifier)[1]), 1)
    m = trail.find("110112")
    equal((m.users[0], m.id("SOP Class UID")), ("WS1", STUDY_FIND))
    equal(base64.b64decode(m.objects["SOP Class UID"].findtext("ParticipantObjectQuery")), identifier)


def case_instances_that_go_are_written_before_and_after(node, trail):
    got = subprocess.run(["getscu", "-aet", "WS1", "-aec", "VITRINE", "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2.5", "-od",
                    str(node.path.parent), "127.0.0.1", str(node.port)], capture_output=True, text=True, timeout=WAIT)
    equal(got.returncode, 0, got.stderr)
    begun = trail.find("110102")
    equal((begun.users[0], begun.id("Study Instance UID"), begun.id("Patient Number")), ("WS1", "1.2.5", "P-17"))
    until(lambda: any(m.event == "110104" and m.users[0] == "WS1" for m in trail.messages()), "they went")


def case_what_a_job_sends_and_fetches_is_written(node, trail):
    with Node(node.path.parent / "other", ["dicom.ae_title=OTHER"]) as other:
        there = f"OTHER@127.0.0.1:{other.port}"
        sent = node.cli("send", there, "StudyInstanceUID=1.2.5")
        equal(sent.returncode, 0, sent.stdout + sent.stderr)

        def told(m, users):
            return m.users[:2] == users and m.id("Study Instance UID") == "1.2.5" and m.id("Patient Number") == "P-17"
        until(lambda: any(m.event == "110102" and told(m, ["VITRINE", "OTHER"]) for m in trail.messages()), "that it begins")
        m = until(lambda: [m for m in trail.messages() if m.event == "110104" and told(m, ["VITRINE", "OTHER"])], "that it was sent")[-1]
        equal((m.outcome, m.hosts[1], m.users[2] != ""), ("0", "127.0.0.1", True))
        with Association(other.port, called="OTHER", contexts=[(SECONDARY_CAPTURE, [EXPLICIT])]) as a:
            equal(a.store(SECONDARY_CAPTURE, "1.3.77", instance("1.3.77", study_uid="1.2.77", patient_id="P-77"))[0], 0)
        fetched = node.cli("fetch", there, "StudyInstanceUID=1.2.77")      # OTHER does not know us: by C-GET
        equal(fetched.returncode, 0, fetched.stdout + fetched.stderr)
        m = until(lambda: [m for m in trail.messages() if m.id("Study Instance UID") == "1.2.77"], "that it was fetched")[-1]
        equal((m.event, m.outcome, m.users[:2], m.id("Patient Number")), ("110104", "0", ["VITRINE", "OTHER"], "P-77"))
        equal(node.cli("study", "delete", "1.2.77").returncode, 0)


def case_a_refused_association_is_a_security_alert(node, trail):
    try:
        Association(node.port, calling="FIXED").close()
        raise AssertionError("it was let in")
    except Rejected as e:
        equal(e.reason, 3)
    m = trail.find("110113", type="110126")
    equal((m.users[0], m.hosts[0], m.outcome), ("FIXED", "127.0.0.1", "4"))


def case_a_deleted_study_is_written_with_who_did_it(node, trail):
    equal(node.cli("study", "delete", "1.2.5").returncode, 0)
    m = trail.find("110105")
    equal((m.id("Study Instance UID"), m.outcome), ("1.2.5", "0"))
    assert m.users[0] not in ("unknown", ""), m.users


def case_the_log_has_no_patient(node, _trail):
    equal([line for line in node.lines if "Geheim" in line or "P-17" in line], [])


# ---- users ----

def user_item(kind, user, passcode=b"", wanted=1):
    return struct.pack(">BBH", 0x58, 0, 6 + len(user) + len(passcode)) + struct.pack(">BBH", kind, wanted, len(user)) + user + \
        struct.pack(">H", len(passcode)) + passcode


def admitted(node, item):
    try:
        with Association(node.port, contexts=[(VERIFICATION, [IMPLICIT])], user_items=item) as a:
            return a.echo() == 0
    except Rejected as e:
        equal((e.result, e.source, e.reason), (1, 1, 1))
        return False


def case_a_user_is_let_in_with_the_passcode_only(node, trail):
    equal(admitted(node, user_item(2, b"anna", b"open sesame")), True)
    equal(admitted(node, user_item(2, b"anna", b"wrong")), False)
    equal(admitted(node, user_item(1, b"anna")), False, "a name alone, where a passcode is set")
    equal(admitted(node, user_item(1, b"robot")), True, "a name alone, where none is set")
    equal(admitted(node, user_item(2, b"nobody", b"open sesame")), False)
    equal(admitted(node, b""), False, "identity = require")
    for kind, word in ((3, "Kerberos"), (4, "SAML"), (5, "JSON web token")):
        equal(admitted(node, user_item(kind, b"ticket")), False, "a way that is not offered")
        until(lambda word=word: any(word in line for line in node.lines), "the log names it")
    refused = trail.find("110114", outcome="4")
    equal(refused.type, "110122")
    equal([m for m in trail.messages() if "sesame" in ET.tostring(m.root, "unicode")], [], "passcodes in the trail")
    equal([line for line in node.lines if "sesame" in line], [], "passcodes in the log")


# ---- syslog ----

def check_syslog(data):
    head, _, text = data.decode().partition("\ufeff")
    words = head.split()
    equal((words[0], words[3], words[5], words[6]), ("<85>1", "vitrined", "DICOM+RFC3881", "-"))
    return Message(text)


def syslog_by_udp(work):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(WAIT)
        with Node(work / "udp", [f"audit.target=udp:127.0.0.1:{server.getsockname()[1]}"]):
            equal(check_syslog(server.recv(65536)).type, "110120")
        equal(check_syslog(server.recv(65536)).type, "110121", "the stop")


def syslog_by_tls(work):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=syslog", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-keyout", str(work / "key.pem"), "-out", str(work / "cert.pem")],
                   check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(work / "cert.pem", work / "key.pem")
    received = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as server:
        def serve():
            server.settimeout(WAIT)
            connection = context.wrap_socket(server.accept()[0], server_side=True)
            connection.settimeout(WAIT)
            while part := connection.recv(65536):
                received.extend(part)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with Node(work / "tls", [f"audit.target=tls:127.0.0.1:{server.getsockname()[1]}", f"audit.tls_ca={work / 'cert.pem'}"]):
            until(lambda: received, "a message came")
        thread.join(WAIT)
    count, _, rest = bytes(received).partition(b" ")
    equal(check_syslog(rest[:int(count)]).type, "110120")
    assert rest[int(count):], "the stop is missing"


def main():
    with work_folder("audit") as name:
        work = pathlib.Path(name)
        trail = Trail(work / "audit.xml")
        node = Node(work / "node", [f"audit.target=file:{trail.path}", "peer.FIXED.from=10.9.9.9"])
        with node:
            begun = dict(globals())
            last = begun.pop("case_a_user_is_let_in_with_the_passcode_only")
            failed = cases.run(begun, node, trail)
        hashed = subprocess.run(["openssl", "passwd", "-6", "-salt", "vitrine", "open sesame"], capture_output=True, text=True,
                                check=True).stdout.strip()
        users = Node(work / "users", [f"audit.target=file:{trail.path}", "dicom.identity=require", f"user.anna.passcode_hash={hashed}",
                                      "user.robot.role=viewer"])
        with users:
            failed |= cases.run({last.__name__: last}, users, trail)
        others = {f"case_{f.__name__}": f for f in (syslog_by_udp, syslog_by_tls)}
        return failed | cases.run(others, work)


if __name__ == "__main__":
    sys.exit(main())
