#!/usr/bin/python3
"""Modality worklist and performed procedure steps with foreign modalities: DCMTK's findscu -W asks what is scheduled, wlmscpfs's
own files say it, and a modality made of bytes performs it."""
import pathlib
import shutil
import struct
import subprocess
import sys

import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence

import cases
from cases import equal, until
from node import Node, free_port, json_lines, work_folder
from rawdicom import (EXPLICIT, IMPLICIT, NO_DATA_SET, SECONDARY_CAPTURE, Association, comment_of, element, instance, text, us)

WORKLIST, MPPS = "1.2.840.10008.5.1.4.31", "1.2.840.10008.3.1.2.3.3"
N_CREATE, N_SET = 0x0140, 0x0120
WAIT = 60


def add(node, *words):
    """Number of the entry."""
    done = node.cli("worklist", "add", "--json", *words)
    equal(done.returncode, 0, done.stderr)
    return json_lines(done.stdout)[-1]["entry"]


def entries(node, *options):
    return json_lines(node.cli("worklist", "list", "--json", *options).stdout)


def find(node, folder, *keys, charset=None):
    """What findscu -W gets, as pydicom reads it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    command = ["findscu", "-W", "-X", "-aet", "CT1", "-aec", "VITRINE"]
    for key in keys:
        command += ["-k", key]
    done = subprocess.run([*command, "127.0.0.1", str(node.port)], cwd=folder, capture_output=True, timeout=WAIT, check=False)
    equal(done.returncode, 0, done.stderr.decode("latin-1"))
    return [pydicom.dcmread(path, force=True) for path in sorted(folder.glob("rsp*.dcm"))]


STEP = "(0040,0100)[0]."
RETURN = ("PatientName", "PatientID", "AccessionNumber", "StudyInstanceUID", "RequestedProcedureID", "PatientWeight",
          STEP + "Modality", STEP + "ScheduledStationAETitle", STEP + "ScheduledProcedureStepStartDate",
          STEP + "ScheduledProcedureStepStartTime", STEP + "ScheduledProcedureStepID", STEP + "ScheduledPerformingPhysicianName")


def fill(node):
    add(node, "PatientName=Smith^Anna", "PatientID=P1", "Modality=CT", "ScheduledStationAETitle=CT1", "AccessionNumber=A1",
        "ScheduledProcedureStepStartDate=20261123", "ScheduledProcedureStepStartTime=0930",
        "ScheduledPerformingPhysicianName=House^Gregory", "RequestedProcedureDescription=Thorax")
    add(node, "PatientName=Müller^Jörg", "PatientID=P2", "Modality=MR", "ScheduledStationAETitle=MR1", "AccessionNumber=A2",
        "ScheduledProcedureStepStartDate=20261123", "ScheduledProcedureStepStartTime=1530")
    add(node, "PatientName=Smithers^Waylon", "PatientID=P3", "Modality=CT", "ScheduledStationAETitle=CT2", "AccessionNumber=A3",
        "ScheduledProcedureStepStartDate=20261124", "ScheduledProcedureStepStartTime=0800")


def names(found):
    return [str(one.PatientName) for one in found]


def case_findscu_gets_what_is_scheduled_in_the_order_of_its_start(node, work):
    fill(node)
    found = find(node, work / "out", *RETURN)
    equal(names(found), ["Smith^Anna", "Müller^Jörg", "Smithers^Waylon"])
    one = found[0]
    step = one.ScheduledProcedureStepSequence[0]
    equal((one.PatientID, one.AccessionNumber, step.Modality, step.ScheduledStationAETitle), ("P1", "A1", "CT", "CT1"))
    equal((step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime), ("20261123", "0930"))
    equal((one.PatientWeight, one.RequestedProcedureID, step.ScheduledProcedureStepID), (None, "A1", "A1"))
    assert one.StudyInstanceUID.startswith("2.25."), one.StudyInstanceUID
    assert "RequestedProcedureDescription" not in one, "nobody asked for it"
    equal(found[1].SpecificCharacterSet, "ISO_IR 192")
    assert "SpecificCharacterSet" not in one, "plain ASCII"


def case_every_key_of_the_table_selects(node, work):
    for keys, wanted in [
            ((STEP + "ScheduledStationAETitle=CT1",), ["Smith^Anna"]),
            ((STEP + "Modality=MR",), ["Müller^Jörg"]),
            ((STEP + "Modality=CT", STEP + "ScheduledProcedureStepStartDate=20261124"), ["Smithers^Waylon"]),
            ((STEP + "ScheduledProcedureStepStartDate=20261123-20261123",), ["Smith^Anna", "Müller^Jörg"]),
            ((STEP + "ScheduledProcedureStepStartDate=20261124-",), ["Smithers^Waylon"]),
            ((STEP + "ScheduledProcedureStepStartTime=0800-1000",), ["Smith^Anna", "Smithers^Waylon"]),
            # one interval, not two (K.6.1.2.2): from the 23rd at noon to the 24th at nine
            ((STEP + "ScheduledProcedureStepStartDate=20261123-20261124", STEP + "ScheduledProcedureStepStartTime=1200-0900"),
             ["Müller^Jörg", "Smithers^Waylon"]),
            ((STEP + "ScheduledPerformingPhysicianName=House*",), ["Smith^Anna"]),
            (("PatientName=smith*",), ["Smith^Anna", "Smithers^Waylon"]),
            (("PatientName=Sm?th^*",), ["Smith^Anna"]),
            (("PatientID=P2",), ["Müller^Jörg"]),
            (("AccessionNumber=A3",), ["Smithers^Waylon"]),
            (("PatientID=P2", STEP + "Modality=CT"), []),
            ((STEP + "ScheduledProcedureStepStartDate=20261123-", STEP + "Modality=US"), [])]:
        named = {key.split("=")[0] for key in keys}
        equal(names(find(node, work / "out", *keys, *[k for k in RETURN if k not in named])), wanted, keys)


def case_a_name_is_found_by_its_umlaut_in_latin_1(node, _work):
    identifier = element(0x00080005, "CS", "ISO_IR 100") + element(0x00100010, "PN", "Müller^*") + element(0x00100020, "LO", "")
    with Association(node.port, contexts=[(WORKLIST, [EXPLICIT])]) as a:
        status, matches, _ = a.find(identifier, abstract=WORKLIST)
        equal((status, len(matches)), (0, 1))
        assert b"ISO_IR 100" in matches[0] and "Müller^Jörg".encode("latin-1") in matches[0], matches[0]


def case_an_empty_step_sequence_returns_the_whole_step(node, _work):
    identifier = element(0x00100020, "LO", "P1") + element(0x00400100, "SQ", b"")
    with Association(node.port, contexts=[(WORKLIST, [EXPLICIT])]) as a:
        status, matches, _ = a.find(identifier, abstract=WORKLIST)
        equal((status, len(matches)), (0, 1))
        for value in (b"CT1", b"House^Gregory", b"20261123", b"SCHEDULED"):
            assert value in matches[0], (value, matches[0])


def case_hostile_requests_are_answered(node, _work):
    with Association(node.port, contexts=[(WORKLIST, [EXPLICIT])]) as a:
        deep = element(0x00400100, "SQ", b"")
        for _ in range(20):
            deep = element(0x00400100, "SQ", struct.pack("<HHI", 0xFFFE, 0xE000, len(deep)) + deep)
        for identifier in (deep, b"\x40\0\0\1SQ\0\0\xf0\0\0\0", element(0x00400100, "LO", "a\\b"),
                           element(0x00100010, "PN", "\\".join("*" * 3000))):
            status, matches, _ = a.find(identifier, abstract=WORKLIST)
            assert status & 0xF000 in (0xC000, 0xA000) or status == 0, hex(status)
        item = element(0x00400002, "LO", "a\\*") + element(0x00400003, "LO", "a\\*")
        sequence = element(0x00400100, "SQ", struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item)
        status, _, _ = a.find(sequence, abstract=WORKLIST)
        equal(status, 0, "dates in another VR")
        status, matches, _ = a.find(element(0x00100020, "LO", "P1"), abstract=WORKLIST)
        equal((status, len(matches)), (0, 1), "the association goes on")


def case_a_peer_without_permission_is_refused_the_context(node, _work):
    with Association(node.port, calling="STORER", contexts=[(WORKLIST, [EXPLICIT]), (MPPS, [EXPLICIT]),
                                                            (SECONDARY_CAPTURE, [EXPLICIT])]) as a:
        equal(a.accepted, {5: EXPLICIT})


def case_entries_without_what_is_needed_are_refused_with_its_name(node, _work):
    done = node.cli("worklist", "add", "PatientName=X", "Modality=CT", "ScheduledStationAETitle=CT1")
    equal(done.returncode, 2)
    assert "PatientID is missing" in done.stderr, done.stderr
    done = node.cli("worklist", "add", "PatientName=X", "PatientID=1", "Modality=CT", "ScheduledStationAETitle=CT1",
                    "ScheduledProcedureStepStartDate=23.11.2026")
    assert done.returncode == 2 and "not a date" in done.stderr, done.stderr
    done = node.cli("worklist", "add", "Patient=X")
    assert done.returncode == 2 and "'Patient' is no attribute" in done.stderr, done.stderr


# ---- files ----

def worklist_file(path, name, patient, charset="ISO_IR 100", steps=1):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = WORKLIST, "1.2.3." + patient
    meta.TransferSyntaxUID = EXPLICIT
    data = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    data.is_little_endian, data.is_implicit_VR = True, False
    data.SpecificCharacterSet = charset
    data.PatientName, data.PatientID, data.StudyInstanceUID = name, patient, "1.2.840.1." + patient
    data.RequestedProcedureID, data.AccessionNumber = "RP" + patient, "F" + patient
    data.ScheduledProcedureStepSequence = Sequence()
    for i in range(steps):
        step = Dataset()
        step.Modality, step.ScheduledStationAETitle = "US", "US1"
        step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = "20261125", f"1{i}00"
        step.ScheduledProcedureStepID, step.ScheduledProcedureStepDescription = f"SPS{patient}{i}", "Leber"
        data.ScheduledProcedureStepSequence.append(step)
    data.save_as(path, write_like_original=False)


def case_the_watched_folder_says_what_is_scheduled(node, work):
    folder = work / "watched"
    (folder / "US1").mkdir()
    (folder / "US1/lockfile").write_text("")
    worklist_file(folder / "US1/one.wl", "Jürgens^Ina", "701", steps=2)
    until(lambda: len([e for e in entries(node) if e["patient_id"] == "701"]) == 2, "both steps are there")
    found = find(node, work / "out", STEP + "ScheduledStationAETitle=US1", *[k for k in RETURN if "Station" not in k])
    equal([(str(f.PatientName), len(f.ScheduledProcedureStepSequence)) for f in found], [("Jürgens^Ina", 1)] * 2)
    worklist_file(folder / "US1/one.wl", "Jürgens^Ina", "701", steps=1)
    until(lambda: len([e for e in entries(node) if e["patient_id"] == "701"]) == 1, "the second step went")
    (folder / "US1/bad.wl").write_bytes(b"no DICOM at all")
    until(lambda: any("worklist.refused" in line and "bad.wl" in line for line in node.lines), "the bad file is told")
    (folder / "US1/one.wl").unlink()
    until(lambda: not [e for e in entries(node) if e["patient_id"] == "701"], "it went with its file")


def case_wlmscpfs_and_the_node_give_the_same_answer_for_the_same_file(node, work):
    folder = work / "watched/VITRINE"
    folder.mkdir()
    (folder / "lockfile").write_text("")
    worklist_file(folder / "same.wl", "Adams^Gomez", "801")
    port = free_port()
    server = subprocess.Popen(["wlmscpfs", "-dfp", str(work / "watched"), "-dfr", str(port)], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    keys = (STEP + "ScheduledStationAETitle=US1", STEP + "Modality", STEP + "ScheduledProcedureStepStartDate",
            STEP + "ScheduledProcedureStepDescription", "PatientName", "PatientID", "AccessionNumber")
    try:
        until(lambda: [e for e in entries(node) if e["patient_id"] == "801"], "the entry is there")

        class Foreign:
            pass
        Foreign.port = port

        def answers():
            try:
                return find(Foreign, work / "theirs", *keys)
            except AssertionError:
                return []
        until(answers, "wlmscpfs answers")
        theirs, ours = answers(), find(node, work / "ours", *keys)
        equal(len(ours), 1)

        def values(one):
            step = one.ScheduledProcedureStepSequence[0]
            return [str(one.PatientName), one.PatientID, one.AccessionNumber, step.Modality, step.ScheduledStationAETitle,
                    step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepDescription]
        equal(values(ours[0]), values(theirs[0]))
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder)


def case_a_table_gives_entries_and_names_its_bad_lines(node, work):
    table = work / "tomorrow.csv"
    table.write_bytes("\r\n".join([
        "PatientName;PatientID;Modality;ScheduledStationAETitle;ScheduledProcedureStepStartDate;AccessionNumber;RequestedProcedureDescription",
        'Öz^Ali;C1;XA;XA1;20261201;C100;"Herz; links"',
        "Nobody;;XA;XA1;20261201;C101;",
        "",
        "Late^Ann;C3;XA;XA1;31.12.2026;C102;",
        "Ray^Man;C4;XA;XA1;20261202;C103;Fuß",
        "Too^Many;C5;XA;XA1;20261202;C104;x;y"]).encode("latin-1"))
    done = node.cli("worklist", "add", table, "--charset", "ISO_IR 100", "--json")
    equal(done.returncode, 1, done.stderr)
    rows = json_lines(done.stdout)
    equal([row["line"] for row in rows[:-1]], [3, 5, 7], rows)
    equal((rows[-1]["added"], rows[-1]["failed"]), (2, 3))
    listed = {e["patient_id"]: e for e in entries(node) if e["station"] == "XA1"}
    equal((listed["C1"]["patient_name"], listed["C1"]["description"], listed["C4"]["description"]), ("Öz^Ali", "Herz; links", "Fuß"))
    again = json_lines(node.cli("worklist", "add", table, "--charset", "ISO_IR 100", "--json").stdout)[-1]
    equal((again["added"], again["changed"], again["same"]), (0, 0, 2), "the same table again")
    bad = work / "bad.csv"
    bad.write_text("Name,PatientID\nx,y\n")
    done = node.cli("worklist", "add", bad)
    assert done.returncode == 2 and "'Name' is no attribute" in done.stderr, done.stderr
    for entry in listed.values():
        equal(node.cli("worklist", "remove", entry["entry"]).returncode, 0)
    equal(node.cli("worklist", "remove", 999999).returncode, 1)


# ---- performed procedure steps ----

def sequence(tag, *items):
    return element(tag, "SQ", b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(i)) + i for i in items))


def begin(study, step, status="IN PROGRESS", leave_out=(), station="CT1"):
    parts = [
        (0x00080060, element(0x00080060, "CS", "CT")), (0x00100010, element(0x00100010, "PN", "Smith^Anna")),
        (0x00100020, element(0x00100020, "LO", "P1")), (0x00400241, element(0x00400241, "AE", station)),
        (0x00400244, element(0x00400244, "DA", "20261123")), (0x00400245, element(0x00400245, "TM", "0931")),
        (0x00400252, element(0x00400252, "CS", status)), (0x00400253, element(0x00400253, "SH", "PPS1")),
        (0x00400270, sequence(0x00400270, element(0x0020000D, "UI", study) + element(0x00400009, "SH", step))),
        (0x00400340, element(0x00400340, "SQ", b""))]
    return b"".join(data for tag, data in parts if tag not in leave_out)


def end(status="COMPLETED", uids=("1.7.1", "1.7.2"), date="20261123", leave_out=()):
    images = sequence(0x00081140, *(element(0x00081150, "UI", SECONDARY_CAPTURE) + element(0x00081155, "UI", uid) for uid in uids))
    series = sequence(0x00400340, images + element(0x00181030, "LO", "Thorax") + element(0x0020000E, "UI", "1.7"))
    parts = [(0x00400250, element(0x00400250, "DA", date)), (0x00400251, element(0x00400251, "TM", "0945")),
             (0x00400252, element(0x00400252, "CS", status)), (0x00400340, series)]
    return b"".join(data for tag, data in parts if tag not in leave_out)


def call(association, field, uid, data, sop_class=MPPS):
    """The response's command."""
    create = field == N_CREATE
    association.send_message(association.context_of(MPPS), {
        (0x0002 if create else 0x0003): sop_class, 0x0100: field, 0x0110: association.next_id(),
        0x0800: 0 if data else NO_DATA_SET, (0x1000 if create else 0x1001): uid}, data)
    return association.receive_message(WAIT)[1]


def status_of(*words):
    return us(call(*words), 0x0900)


def open_mpps(node):
    return Association(node.port, calling="CT1", contexts=[(MPPS, [EXPLICIT])], timeout=WAIT)


def entry_of(node, patient, *options):
    return next((e for e in entries(node, *options) if e["patient_id"] == patient), None)


def case_a_step_starts_and_ends_its_entry(node, work):
    entry = entry_of(node, "P1")
    data = begin(entry["study_uid"], entry["step"])
    with open_mpps(node) as a:
        equal(status_of(a, N_CREATE, "1.8.1", data), 0)
        equal(entry_of(node, "P1")["state"], "started")
        equal(status_of(a, N_CREATE, "1.8.1", data), 0, "sent again")
        equal(status_of(a, N_CREATE, "1.8.1", begin(entry["study_uid"], "OTHER")), 0x0111)
        found = find(node, work / "out", "PatientID=P1", STEP + "ScheduledProcedureStepStatus")
        equal(found[0].ScheduledProcedureStepSequence[0].ScheduledProcedureStepStatus, "STARTED")
        with Association(node.port, contexts=[(SECONDARY_CAPTURE, [EXPLICIT])]) as s:
            equal(s.store(SECONDARY_CAPTURE, "1.7.1", instance("1.7.1", study_uid=entry["study_uid"]))[0], 0)
        equal(status_of(a, N_SET, "1.8.1", end()), 0)
        equal(status_of(a, N_SET, "1.8.1", end()), 0, "sent again")
        late = call(a, N_SET, "1.8.1", end("DISCONTINUED"))
        equal((us(late, 0x0900), us(late, 0x0903)), (0x0110, 0xA710))
        assert "no longer be updated" in comment_of(late), comment_of(late)
    equal(entry_of(node, "P1"), None, "done: off the list")
    equal(entry_of(node, "P1", "--all")["state"], "completed")
    equal(names(find(node, work / "out", "PatientID=P1", "PatientName")), [])
    listed = json_lines(node.cli("mpps", "list", "--json").stdout)[0]
    equal((listed["step"], listed["state"], listed["instances"], listed["missing"]), ("1.8.1", "COMPLETED", 2, 1))
    shown = json_lines(node.cli("mpps", "show", "1.8.1", "--json").stdout)
    equal([row["missing"] for row in shown if "series" in row], ["1.7.2"])


def case_a_step_may_be_discontinued_without_images(node, _work):
    entry = entry_of(node, "P3")
    with open_mpps(node) as a:
        equal(status_of(a, N_CREATE, "1.8.2", begin(entry["study_uid"], entry["step"])), 0)
        equal(status_of(a, N_SET, "1.8.2", end("DISCONTINUED", leave_out=(0x00400340,))), 0)
    equal(entry_of(node, "P3", "--all")["state"], "discontinued")


def case_steps_that_make_no_sense_are_refused_by_the_book(node, _work):
    with open_mpps(node) as a:
        for tag in (0x00400252, 0x00400253, 0x00400241, 0x00400244, 0x00400245, 0x00080060, 0x00400270):
            answer = call(a, N_CREATE, "1.8.9", begin("1.2.9", "S9", leave_out=(tag,)))
            equal((us(answer, 0x0900), answer[0x0901]), (0x0120, struct.pack("<HH", tag >> 16, tag & 0xFFFF)), hex(tag))
        equal(status_of(a, N_CREATE, "1.8.9", begin("1.2.9", "S9", status="COMPLETED")), 0x0106)
        equal(status_of(a, N_CREATE, "1.8.9", begin("", "S9")), 0x0121, "no study")
        equal(status_of(a, N_CREATE, "1.8.9", None), 0x0120)
        equal(status_of(a, N_CREATE, "1.8.9", begin("1.2.9", "S9"), "1.2.840.10008.3.1.2.3.4"), 0x0118)
        equal(status_of(a, N_CREATE, "not-a-uid", begin("1.2.9", "S9")), 0x0117)
        equal(status_of(a, N_CREATE, "1.8.9", begin("1.2.9", "S9")[:-5]), 0x0212)
        equal(status_of(a, N_SET, "1.8.77", end()), 0x0112)
        equal(status_of(a, N_CREATE, "1.8.3", begin("1.2.9", "S9")), 0)
        equal(status_of(a, N_SET, "1.8.3", element(0x00400252, "CS", "PAUSED")), 0x0106)
        equal(status_of(a, N_SET, "1.8.3", end(leave_out=(0x00400250,))), 0x0120)
        equal(status_of(a, N_SET, "1.8.3", end(leave_out=(0x00400340,))), 0x0121, "no series")
        warned = call(a, N_SET, "1.8.3", element(0x00100020, "LO", "OTHER"))
        equal(us(warned, 0x0900), 0x0107, "the patient stays")
        equal(status_of(a, N_SET, "1.8.3", end(date="20261122")), 0x0116, "it ends before it began")


def case_a_step_without_a_uid_gets_one(node, _work):
    with open_mpps(node) as a:
        a.send_message(a.context_of(MPPS), {0x0002: MPPS, 0x0100: N_CREATE, 0x0110: a.next_id(), 0x0800: 0},
                       begin("1.2.10", "S10"))
        answer = a.receive_message(WAIT)[1]
        equal(us(answer, 0x0900), 0)
        assert text(answer, 0x1000).startswith("2.25."), answer


def case_priors_are_here_before_the_patient_is(node, _work):
    prior = node.prior
    with Association(prior.port, called="PRIOR", contexts=[(SECONDARY_CAPTURE, [EXPLICIT])]) as a:
        for patient, uid in (("PX", "1.6.1"), ("PY", "1.6.2")):
            equal(a.store(SECONDARY_CAPTURE, uid, instance(uid, study_uid="1.6.0" + uid[-1],
                                                           patient_id=patient))[0], 0)
    add(node, "PatientName=Other^Y", "PatientID=PY", "Modality=US", "ScheduledStationAETitle=US1", "AccessionNumber=PR2")
    add(node, "PatientName=Prior^X", "PatientID=PX", "Modality=NM", "ScheduledStationAETitle=NM1", "AccessionNumber=PR1")
    until(lambda: json_lines(node.cli("study", "list", "PatientID=PX", "--json").stdout), "the prior came")
    equal(json_lines(node.cli("study", "list", "PatientID=PY", "--json").stdout), [], "another modality")


def case_all_of_it_survives_a_kill(node, _work):
    before = entries(node, "--all")
    node.kill()
    node.start()
    equal(entries(node, "--all"), before)
    with open_mpps(node) as a:
        equal(status_of(a, N_SET, "1.8.1", end("DISCONTINUED")), 0x0110)


def main():
    for tool in ("findscu", "wlmscpfs"):
        if not shutil.which(tool):
            print(f"{tool} is not installed")
            return 77
    with work_folder("worklist") as folder:
        work = pathlib.Path(folder)
        (work / "watched").mkdir()
        with Node(work / "prior", ["dicom.ae_title=PRIOR"]) as prior:
            options = [f"worklist.folder={work}/watched", "worklist.every=200ms", "peer.STORER.allow=echo store",
                       "peer.PRIOR.host=127.0.0.1", f"peer.PRIOR.port={prior.port}", "peer.PRIOR.fetch=get",
                       "prefetch.NM.peer=PRIOR", "prefetch.NM.when=scheduled", "prefetch.NM.modality=NM"]
            node = Node(work / "archive", options)
            node.prior = prior
            with node:
                return cases.run(globals(), node, work)


if __name__ == "__main__":
    sys.exit(main())
