#!/usr/bin/python3
"""Storage commitment with the real programs: a peer made of bytes, a second Vitrine, and Orthanc, each asking and being asked."""
import json
import pathlib
import shutil
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request

import cases
from cases import equal, until
from node import BIN, Node, free_port, json_lines, object_files, work_folder
from rawdicom import (EXPLICIT, NO_DATA_SET, SECONDARY_CAPTURE, VERIFICATION, Association, element, instance, us)

COMMITMENT, WELL_KNOWN = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
N_EVENT, N_ACTION = 0x0100, 0x0130
CT = "1.2.840.10008.5.1.4.1.1.2"
WAIT = 60


def sequence(tag, items):
    return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, b"SQ", 0, sum(len(i) + 8 for i in items)) + \
        b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(i)) + i for i in items)


def references(pairs):
    return [element(0x00081150, "UI", c) + element(0x00081155, "UI", u) for c, u in pairs]


def action_information(transaction, pairs):
    return element(0x00081195, "UI", transaction) + sequence(0x00081199, references(pairs))


def ask(association, information, instance_uid=WELL_KNOWN, action=1, sop_class=COMMITMENT):
    """Status of the N-ACTION."""
    association.send_message(association.context_of(COMMITMENT), {
        0x0003: sop_class, 0x0100: N_ACTION, 0x0110: association.next_id(), 0x0800: 0 if information else NO_DATA_SET,
        0x1001: instance_uid, 0x1008: action}, information)
    return us(association.receive_message(WAIT)[1], 0x0900)


def read_items(data):
    """[(class, instance, reason)] of the items of a sequence's value; encoded with delimiters, as the node does."""
    found, at, current = [], 0, {}
    while at + 8 <= len(data):
        tag = struct.unpack_from("<HH", data, at)
        if tag[0] == 0xFFFE:
            if tag[1] == 0xE00D:
                found.append((current.get(0x1150), current.get(0x1155), current.get(0x1197, 0)))
                current = {}
            at += 8
            if tag[1] == 0xE0DD:
                break
            continue
        vr, length = struct.unpack_from("<2sH", data, at + 4)
        value = data[at + 8:at + 8 + length]
        current[tag[1]] = struct.unpack("<H", value)[0] if vr == b"US" else value.rstrip(b"\0").decode()
        at += 8 + length
    return found, at


def read_report(data):
    """(transaction, {instance: reason}) of an N-EVENT-REPORT's information."""
    transaction, results, at = None, {}, 0
    while at + 8 <= len(data):
        group, number, vr, length = struct.unpack_from("<HH2sH", data, at)
        if vr == b"SQ":
            items, used = read_items(data[at + 12:])
            for _, uid, reason in items:
                assert uid not in results, "an instance stands in both sequences"
                assert (reason != 0) == (number == 0x1198)
                results[uid] = reason
            at += 12 + used
            continue
        if number == 0x1195:
            transaction = data[at + 8:at + 8 + length].rstrip(b"\0").decode()
        at += 8 + length
    return transaction, results


def take_report(association, status=0):
    """(transaction, {instance: reason}, event type) of the report that comes on this association."""
    context, values, data = association.receive_message(WAIT)
    equal(us(values, 0x0100), N_EVENT, "the command")
    association.send_message(context, {0x0002: COMMITMENT, 0x0100: 0x8100, 0x0120: us(values, 0x0110), 0x0800: NO_DATA_SET,
                                       0x0900: status, 0x1000: WELL_KNOWN})
    return *read_report(data), us(values, 0x1002)


def open_commit(node, calling="RAWDICOM"):
    return Association(node.port, called="ALPHA", calling=calling, contexts=[(COMMITMENT, [EXPLICIT])], timeout=WAIT)


def store(node, *uids, study="1.2.3.4"):
    with Association(node.port, called="ALPHA", contexts=[(SECONDARY_CAPTURE, [EXPLICIT])]) as a:
        for uid in uids:
            equal(a.store(SECONDARY_CAPTURE, uid, instance(uid, study_uid=study, pixels=bytes(90000)))[0], 0, uid)


def commitments(node):
    return json_lines(node.cli("commitment", "list", "--json").stdout)


# ---- a peer made of bytes ----

def case_a_stored_instance_is_committed_on_the_same_association(alpha, _beta, _work):
    store(alpha, "1.5.1", "1.5.2")
    with open_commit(alpha) as a:
        equal(ask(a, action_information("1.9.1", [(SECONDARY_CAPTURE, "1.5.1"), (SECONDARY_CAPTURE, "1.5.2")])), 0)
        equal(take_report(a), ("1.9.1", {"1.5.1": 0, "1.5.2": 0}, 1))
    until(lambda: commitments(alpha)[-1]["state"] == "reported", "it is reported")
    rows = json_lines(alpha.cli("commitment", "show", "1.9.1", "--json").stdout)
    files = object_files(alpha.path)
    for row in rows[:2]:
        digest = subprocess.run(["sha256sum", files[row["SOPInstanceUID"]][0]], capture_output=True, text=True, check=True).stdout
        equal(digest.split()[0], row["sha256"], "SHA-256 of the file")


def case_unknown_wrong_and_altered_instances_fail_with_their_reasons(alpha, _beta, _work):
    store(alpha, "1.5.3", "1.5.4", "1.5.5")
    path = pathlib.Path(object_files(alpha.path)["1.5.4"][0])
    data = bytearray(path.read_bytes())
    data[-1000] ^= 1
    path.write_bytes(data)
    with open_commit(alpha) as a:
        pairs = [(SECONDARY_CAPTURE, "1.5.3"), (SECONDARY_CAPTURE, "1.5.4"), (CT, "1.5.5"), (SECONDARY_CAPTURE, "1.5.99"),
                 (VERIFICATION, "1.5.98")]
        equal(ask(a, action_information("1.9.2", pairs)), 0)
        equal(take_report(a), ("1.9.2", {"1.5.3": 0, "1.5.4": 0x0110, "1.5.5": 0x0119, "1.5.99": 0x0112, "1.5.98": 0x0122}, 2))


def case_a_deleted_instance_is_no_such_instance(alpha, _beta, _work):
    store(alpha, "1.5.20", study="1.2.3.20")
    equal(alpha.cli("study", "delete", "1.2.3.20").returncode, 0)
    with open_commit(alpha) as a:
        equal(ask(a, action_information("1.9.20", [(SECONDARY_CAPTURE, "1.5.20")])), 0)
        equal(take_report(a), ("1.9.20", {"1.5.20": 0x0112}, 2))


def case_a_transaction_uid_used_again_fails_with_0131(alpha, _beta, _work):
    store(alpha, "1.5.6")
    with open_commit(alpha) as a:
        equal(ask(a, action_information("1.9.3", [(SECONDARY_CAPTURE, "1.5.6")])), 0)
        equal(take_report(a), ("1.9.3", {"1.5.6": 0}, 1))
        equal(ask(a, action_information("1.9.3", [(SECONDARY_CAPTURE, "1.5.6")])), 0)
        equal(take_report(a), ("1.9.3", {"1.5.6": 0x0131}, 2))


def case_requests_that_make_no_sense_are_refused(alpha, _beta, _work):
    good = action_information("1.9.4", [(SECONDARY_CAPTURE, "1.5.6")])
    with open_commit(alpha) as a:
        equal(ask(a, good, instance_uid="1.2.3"), 0x0112, "another instance")
        equal(ask(a, good, action=2), 0x0123, "another action")
        equal(ask(a, good, sop_class="1.2.840.10008.1.20.2"), 0x0118, "another class")
        equal(ask(a, None), 0x0115, "no data set")
        equal(ask(a, element(0x00081195, "UI", "1.9.4")), 0x0115, "no reference")
        equal(ask(a, sequence(0x00081199, references([(SECONDARY_CAPTURE, "1.5.6")]))), 0x0115, "no transaction")
        equal(ask(a, action_information("1.9.4", [(SECONDARY_CAPTURE, "1.5.6")] * 2)), 0x0115, "twice the same")
        equal(ask(a, good[:-7] + b"\xff" * 7), 0x0212, "not readable")
        equal(ask(a, good), 0, "the association goes on")
        take_report(a)


def case_ten_thousand_instances_are_taken_in_less_than_a_second(alpha, _beta, _work):
    pairs = [(SECONDARY_CAPTURE, f"1.2.840.99999.1234567890.1234567890.{i}") for i in range(10000)]
    information = action_information("1.9.5", pairs)
    with open_commit(alpha) as a:
        begun = time.monotonic()
        equal(ask(a, information), 0)
        elapsed = time.monotonic() - begun
        _, results, _ = take_report(a)
        equal(len(results), 10000)
    print(f"     N-ACTION of {len(information)} bytes answered in {elapsed:.2f} s")
    assert elapsed < 5, elapsed         # a loaded machine; the bar of one second is measured when it is quiet


def case_a_report_is_sent_again_on_request(alpha, beta, _work):
    with open_commit(alpha, calling="BETA") as a:
        equal(ask(a, action_information("1.9.11", [(SECONDARY_CAPTURE, "1.5.6")])), 0)
    equal(beta.cli("commitment", "expect", "1.9.11", "ALPHA").returncode, 0)
    until(lambda: commitments(alpha)[-1]["attempts"] >= 1, "a first report was tried")
    equal(alpha.cli("commitment", "resend", "1.9.11").returncode, 0)
    until(lambda: "1.5.6" in beta.cli("commitment", "answer", "1.9.11").stdout, "it came")


def case_an_instance_that_comes_a_moment_later_is_committed(alpha, _beta, _work):
    with open_commit(alpha) as a:
        equal(ask(a, action_information("1.9.6", [(SECONDARY_CAPTURE, "1.5.7")])), 0)
        store(alpha, "1.5.7")
        equal(take_report(a), ("1.9.6", {"1.5.7": 0}, 1))


def case_what_is_committed_is_deleted_only_on_request(alpha, _beta, _work):
    store(alpha, "1.5.8", study="1.2.3.8")
    with open_commit(alpha) as a:
        equal(ask(a, action_information("1.9.7", [(SECONDARY_CAPTURE, "1.5.8")])), 0)
        take_report(a)
    refused = alpha.cli("study", "delete", "1.2.3.8")
    equal(refused.returncode, 1)
    assert "--committed" in refused.stderr, refused.stderr
    equal(alpha.cli("commitment", "check", "1.9.7").returncode, 0, "check")
    equal(alpha.cli("study", "delete", "1.2.3.8", "--committed").returncode, 0, "delete --committed")
    found = alpha.cli("commitment", "check", "1.9.7", "--json")
    equal(found.returncode, 1, "check of what was deleted")
    equal(json_lines(found.stdout)[0]["fault"], "missing")
    equal(alpha.cli("study", "restore", "1.2.3.8").returncode, 0, "restore")
    equal(alpha.cli("study", "delete", "1.2.3.8").returncode, 1, "it is held again")


def case_the_receipt_says_what_was_altered_since(alpha, _beta, _work):
    store(alpha, "1.5.9")
    with open_commit(alpha) as a:
        equal(ask(a, action_information("1.9.8", [(SECONDARY_CAPTURE, "1.5.9")])), 0)
        take_report(a)
    until(lambda: commitments(alpha)[-1]["state"] == "reported", "it is reported")
    receipt = json_lines(alpha.cli("commitment", "export", "1.9.8", "--json").stdout)[0]
    equal((receipt["peer"], receipt["instances"], len(receipt["items"][0]["sha256"])), ("RAWDICOM", 1, 64))
    path = pathlib.Path(object_files(alpha.path)["1.5.9"][0])
    data = bytearray(path.read_bytes())
    data[-1] ^= 0x80
    path.write_bytes(data)
    checked = alpha.cli("commitment", "check", "1.9.8", "--json")
    equal((checked.returncode, json_lines(checked.stdout)[0]["fault"]), (1, "altered"))


def case_a_peer_that_leaves_without_an_address_is_told_so_in_the_list(alpha, _beta, _work):
    with open_commit(alpha, calling="PASSERBY") as a:
        equal(ask(a, action_information("1.9.9", [(SECONDARY_CAPTURE, "1.5.77")])), 0)
    until(lambda: any(c["transaction_uid"] == "1.9.9" and c["state"] == "undelivered"
                                           for c in commitments(alpha)), "it is undelivered")


# ---- two nodes ----

def case_two_nodes_commit_over_the_association_of_the_archive(alpha, beta, work):
    """BETA's entry at ALPHA says that reports go out on associations of ALPHA only."""
    uids = [f"1.6.{i}" for i in range(20)]
    folder = work / "files"
    folder.mkdir()
    store(alpha, *uids, study="1.2.3.6")
    for uid in uids:
        shutil.copy(object_files(alpha.path)[uid][0], folder / f"{uid}.dcm")
    asked = beta.cli("commit", "ALPHA", folder, "--wait", WAIT, "--json")
    equal(asked.returncode, 0, asked.stderr)
    equal(json_lines(asked.stdout)[-1]["committed"], 20)
    until(lambda: [c for c in commitments(alpha) if c["peer"] == "BETA"][-1]["state"] == "reported", "ALPHA knows that it is told")
    again = beta.cli("commit", "ALPHA", folder, "--wait", WAIT, "--json", "--transaction", json_lines(asked.stdout)[-1]["transaction"])
    equal(again.returncode, 1)
    equal(json_lines(again.stdout)[0]["result"], "0131", "the same transaction again")


def case_keys_name_instances_of_our_archive(alpha, beta, work):
    equal(beta.cli("import", work / "files").returncode, 0)
    asked = beta.cli("commit", "ALPHA", "StudyInstanceUID=1.2.3.6", "--json", "--wait", WAIT)
    equal((asked.returncode, json_lines(asked.stdout)[-1]["committed"]), (0, 20), asked.stderr)


def case_a_report_is_delivered_when_the_peer_is_back(alpha, beta, work):
    port = beta.port
    beta.stop()
    with open_commit(alpha, calling="BETA") as a:
        equal(ask(a, action_information("1.9.10", [(SECONDARY_CAPTURE, "1.6.1")])), 0)
    until(lambda: commitments(alpha)[-1]["attempts"] >= 1, "an attempt failed")
    equal(commitments(alpha)[-1]["state"], "decided")
    alpha.kill()
    alpha.start()
    beta.start()
    equal(beta.port, port)
    equal(beta.cli("commitment", "expect", "1.9.10", "ALPHA").returncode, 0)
    until(lambda: commitments(alpha)[-1]["state"] == "reported", "it is reported")
    answer = json_lines(beta.cli("commitment", "answer", "1.9.10", "--json").stdout)
    equal((answer[0]["SOPInstanceUID"], answer[0]["result"]), ("1.6.1", "committed"))


def case_a_report_that_nobody_waits_for_any_more_is_undelivered(alpha, beta, _work):
    beta.stop()
    with open_commit(alpha, calling="BETA") as a:
        equal(ask(a, action_information("1.9.12", [(SECONDARY_CAPTURE, "1.6.1")])), 0)
    until(lambda: commitments(alpha)[-1]["attempts"] >= 1, "an attempt failed")
    job = [j for j in json_lines(alpha.cli("job", "list", "--json").stdout) if j["kind"] == "commitment"][0]
    equal(alpha.cli("job", "cancel", job["id"]).returncode, 0)
    until(lambda: commitments(alpha)[-1]["state"] == "undelivered", "the receipt says so")
    beta.start()
    equal(beta.cli("commitment", "expect", "1.9.12", "ALPHA").returncode, 0)
    equal(alpha.cli("commitment", "resend", "1.9.12").returncode, 0)
    until(lambda: commitments(alpha)[-1]["state"] == "reported", "it is reported after all")


def case_the_command_takes_the_report_itself_when_no_node_runs(alpha, beta, work):
    beta.stop()
    asked = beta.cli("commit", "ALPHA", work / "files", "--wait", WAIT)
    equal(asked.returncode, 0, asked.stderr)
    assert "committed to 20 of 20" in asked.stdout, asked.stdout
    beta.start()


# ---- Orthanc ----

class Orthanc:
    def __init__(self, folder, alpha):
        self.port, self.http = free_port(), free_port()
        folder.mkdir()
        settings = {"Name": "commitment", "StorageDirectory": str(folder), "IndexDirectory": str(folder), "DicomAet": "ORTHANC",
                    "DicomPort": self.port, "HttpPort": self.http, "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
                    "DicomModalities": {"alpha": ["ALPHA", "127.0.0.1", alpha.port]}, "Plugins": []}
        (folder / "conf.json").write_text(json.dumps(settings))
        self.process = subprocess.Popen(["Orthanc", str(folder / "conf.json")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: self.get("/system") is not None, "Orthanc answers")

    def get(self, path, body=None):
        try:
            data = None if body is None else json.dumps(body).encode()
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", data, timeout=30) as answer:
                return json.load(answer)
        except (urllib.error.URLError, ConnectionError):
            return None

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def case_orthanc_asks_us_and_we_ask_orthanc(alpha, _beta, work):
    if not shutil.which("Orthanc"):
        print("     skipped: Orthanc is not installed")
        return
    store(alpha, "1.7.1", "1.7.2", study="1.2.3.7")
    orthanc = Orthanc(work / "orthanc", alpha)
    try:
        alpha.stop()
        alpha.command += ["-o", "peer.ORTHANC.host=127.0.0.1", "-o", f"peer.ORTHANC.port={orthanc.port}"]
        alpha.options += alpha.command[-4:]
        alpha.start()
        pairs = [{"SOPClassUID": SECONDARY_CAPTURE, "SOPInstanceUID": uid} for uid in ("1.7.1", "1.7.9")]
        reply = orthanc.get("/modalities/alpha/storage-commitment", {"DicomInstances": pairs})
        state = {}

        def reported():
            state.update(orthanc.get(f"/storage-commitment/{reply['ID']}"))
            return state["Status"] != "Pending"
        until(reported, "Orthanc has our report")
        equal((state["Status"], [s["SOPInstanceUID"] for s in state["Success"]], state["Failures"][0]["SOPInstanceUID"]),
              ("Failure", ["1.7.1"], "1.7.9"))

        files = [object_files(alpha.path)[uid][0] for uid in ("1.7.1", "1.7.2")]
        equal(alpha.cli("send", "ORTHANC", files[0]).returncode, 0)
        asked = alpha.cli("commit", "ORTHANC", *files, "--json", "--wait", WAIT)
        equal(asked.returncode, 1, asked.stderr)
        results = {r["SOPInstanceUID"]: r["result"] for r in json_lines(asked.stdout) if "result" in r}
        equal(results, {"1.7.1": "committed", "1.7.2": "0112"})
    finally:
        orthanc.stop()


def main():
    with work_folder("commitment") as name:
        work = pathlib.Path(name)
        beta = Node(work / "beta", ["dicom.ae_title=BETA"])
        alpha = Node(work / "alpha", ["dicom.ae_title=ALPHA", "commit.grace=3s", "jobs.back_off=1s", "peer.BETA.host=127.0.0.1",
                                      f"peer.BETA.port={beta.port}", "peer.BETA.commit_same_association=no"])
        more = ["-o", "peer.ALPHA.host=127.0.0.1", "-o", f"peer.ALPHA.port={alpha.port}"]
        beta.options += more
        beta.command += more
        with alpha, beta:
            return cases.run(globals(), alpha, beta, work)


if __name__ == "__main__":
    sys.exit(main())
