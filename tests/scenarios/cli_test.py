#!/usr/bin/python3
"""The command line end to end: every verb, with a running node and without one, --json, exit statuses, wrong usage, completion, against our
own node and against DCMTK's storescp. What came back is compared with pydicom."""
import json
import os
import pathlib
import pty
import signal
import socket
import subprocess
import sys
import time

import pydicom

import cases
from cases import equal
from node import BIN, SOURCE, Node, free_port, json_lines, work_folder

DONE, FAILED, USAGE = 0, 1, 2


class World:
    """A node, the samples, and a folder; and vitrine called in several ways."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.samples = self.folder / "samples"
        self.move_port = free_port()
        self.conf = self.folder / "vitrine.conf"
        self.node = Node(self.folder / "archive", [f"peer.SINK.host=127.0.0.1", f"peer.SINK.port={self.move_port}"])
        self.conf.write_text(f"[archive]\npath = {self.folder}/archive\n[dicom]\nport = {self.node.port}\n"
                             f'[peer "NODE"]\nae_title = VITRINE\nhost = 127.0.0.1\nport = {self.node.port}\n'
                             f'[peer "SINK"]\nhost = 127.0.0.1\nport = {self.move_port}\nfrom = 127.0.0.0/8\nallow = echo store\n')
        self.peer = f"VITRINE@127.0.0.1:{self.node.port}"

    def run(self, *words, conf=True, **more):
        command = [str(BIN / "vitrine"), *(["-c", str(self.conf)] if conf else []), *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, check=False, **more)

    def ok(self, *words, **more):
        done = self.run(*words, **more)
        equal(done.returncode, DONE, f"{words}: {done.stderr}")
        return done

    def rows(self, *words, **more):
        return json_lines(self.ok("--json", *words, **more).stdout)

    def fails(self, status, *words, say="", **more):
        done = self.run(*words, **more)
        equal(done.returncode, status, f"{words}: {done.stdout} {done.stderr}")
        if say not in done.stderr:
            raise AssertionError(f"{words}: '{say}' is not in: {done.stderr}")
        if done.stderr and not done.stderr.splitlines()[-1].startswith("vitrine: "):
            raise AssertionError(f"{words}: no sentence at the end of: {done.stderr}")
        return done

    def studies(self):
        return {row["PatientID"]: row["StudyInstanceUID"] for row in self.rows("study", "list")}


def data_sets(folder):
    """{SOP Instance UID: data set} of the files below a folder."""
    found = {}
    for path in pathlib.Path(folder).rglob("*.dcm"):
        ds = pydicom.dcmread(path)
        found[ds.SOPInstanceUID] = ds
    return found


def same(a, b):
    equal(sorted(a), sorted(b), "instances")
    for uid, ds in a.items():
        equal(ds.file_meta.TransferSyntaxUID, b[uid].file_meta.TransferSyntaxUID, uid)
        equal(ds, b[uid], f"data set {uid}")
        equal(ds.PixelData, b[uid].PixelData, f"pixels of {uid}")


# ---- samples, help, usage ----

def case_samples_are_written_once_and_always_the_same(world):
    rows = world.rows("samples", "-o", world.samples, conf=False)
    equal(len(rows), 38)
    world.ok("samples", "-o", world.folder / "again", conf=False)
    for path in world.samples.rglob("*.dcm"):
        equal(path.read_bytes(), (world.folder / "again" / path.relative_to(world.samples)).read_bytes(), str(path))
    stamp = next(world.samples.rglob("*.dcm")).stat().st_mtime_ns
    world.ok("samples", "-o", world.samples, conf=False)
    equal(next(world.samples.rglob("*.dcm")).stat().st_mtime_ns, stamp)


def case_samples_read_well_with_other_software(world):
    found = data_sets(world.samples)
    names = {str(ds.PatientName) for ds in found.values()}
    equal(names, {"Müller^Anna", "Yamada^Tarou=山田^太郎=やまだ^たろう", "O'Brien^Seán", "Doe^John^^Dr"})
    syntaxes = {ds.Modality: ds.file_meta.TransferSyntaxUID for ds in found.values()}
    equal(syntaxes, {"CT": "1.2.840.10008.1.2.1", "MR": "1.2.840.10008.1.2", "US": "1.2.840.10008.1.2.1",
                     "CR": "1.2.840.10008.1.2.4.70"})
    loop = next(ds for ds in found.values() if ds.Modality == "US")
    equal((int(loop.NumberOfFrames), len(loop.PixelData)), (20, 20 * 200 * 160))
    charsets = {ds.Modality: ds.get("SpecificCharacterSet") for ds in found.values()}
    equal((charsets["CT"], charsets["MR"]), ("ISO_IR 100", "ISO_IR 192"))


def case_help_lists_every_command_and_each_has_its_own(world):
    text = world.ok("--help", conf=False).stdout
    commands = [line.split("  ")[1] for line in text.splitlines() if line.startswith("  ") and not line.startswith("   ")]
    verbs = [line for line in commands if line and line[0].isalpha()]
    for words in ("echo", "send", "find", "get", "move", "study list", "trash purge", "quarantine resolve", "version show",
                  "conflict list", "patient merge", "verify", "reindex", "status", "backup", "peer explain", "import", "samples",
                  "completion"):
        if not any(verb.startswith(words) for verb in verbs):
            raise AssertionError(f"{words} is not in the help")
        page = world.ok(*words.split(), "--help", conf=False).stdout
        equal(page.startswith(f"vitrine {words}"), True, page)
    page = (SOURCE / "docs/man/vitrine.1").read_text()
    for verb in verbs:
        words = [word for word in verb.split() if word.isalpha() and word.islower()][:2]
        if f".It Ic {' '.join(words)}" not in page:
            raise AssertionError(f"{words} is not in vitrine(1)")
    equal(world.ok("--version", conf=False).stdout.startswith("vitrine "), True)


def case_wrong_usage_ends_with_2_and_one_sentence(world):
    world.fails(USAGE, "paint", say="unknown command 'paint'", conf=False)
    world.fails(USAGE, "study", say="one more word", conf=False)
    world.fails(USAGE, "study", "paint", say="restore", conf=False)
    world.fails(USAGE, "echo", say="usage: vitrine echo PEER", conf=False)
    world.fails(USAGE, "echo", world.peer, "--fast", say="--fast", conf=False)
    world.fails(USAGE, "echo", "NOBODY", say="NOBODY", conf=False)
    world.fails(USAGE, "find", world.peer, "Nonsense=1", say="Nonsense", conf=False)
    world.fails(USAGE, "find", world.peer, "--level", "organ", say="organ", conf=False)
    world.fails(USAGE, "find", world.peer, "--limit", "many", say="--limit", conf=False)
    world.fails(USAGE, "get", world.peer, "PatientID=1", say="-o DIR", conf=False)
    world.fails(USAGE, "move", world.peer, "PatientID=1", say="--to", conf=False)
    world.fails(USAGE, "status", "-o", "nonsense", say="section.key=value", conf=False)
    world.fails(USAGE, "-c", "/nowhere.conf", "status", say="/nowhere.conf", conf=False)
    world.fails(USAGE, "-o", "dicom.ae_title=SEVENTEEN-LETTERS", "echo", world.peer, say="SEVENTEEN-LETTERS", conf=False)
    equal(world.run(conf=False).returncode, USAGE)


def case_completion_offers_words_of_the_table(world):
    script = world.ok("completion", "bash", conf=False).stdout
    equal(world.ok("completion", "zsh", conf=False).stdout.startswith("#compdef vitrine"), True)
    world.fails(USAGE, "completion", "fish", say="fish", conf=False)

    def offers(*words):
        probe = script + "\nCOMP_WORDS=(" + " ".join(f"'{w}'" for w in ("vitrine",) + words) + f")\nCOMP_CWORD={len(words)}\n" \
                         "_vitrine; printf '%s\\n' \"${COMPREPLY[@]}\""
        return subprocess.run(["bash", "-c", probe], capture_output=True, text=True, check=True).stdout.split()

    equal(offers("ver"), ["version", "verify"])
    equal(sorted(offers("study", "")), ["delete", "hold", "holds", "list", "release", "restore", "show"])
    equal(sorted(offers("study", "l")), ["list"])
    equal(offers("find", "P", "--lev"), ["--level"])
    equal(offers("find", "P", "--level", "s"), ["study", "series"])
    equal(offers("-o", "a.b=c", "quarantine", "res"), ["resolve"])


# ---- without a node ----

def case_archive_verbs_work_without_a_node(world):
    world.fails(FAILED, "status", "-o", f"archive.path={world.folder}/nothing", say="there is no archive at", conf=False)
    own = ["-o", f"archive.path={world.folder}/own"]
    result = json_lines(world.ok("--json", "import", world.samples / "ct", *own, conf=False).stdout)[-1]
    equal((result["stored"], result["failed"]), (24, 0))
    status = json_lines(world.ok("--json", "status", *own, conf=False).stdout)[0]
    equal((status["instances"], status["vitrined"]), (24, "not running"))
    equal(len(json_lines(world.ok("--json", "study", "list", *own, conf=False).stdout)), 1)
    equal(json_lines(world.ok("verify", "--json", *own, conf=False).stdout)[-1]["faults"], 0)
    equal(json_lines(world.ok("reindex", "--json", *own, conf=False).stdout)[-1]["instances"], 24)


def case_verify_finds_a_damaged_file_and_ends_with_1(world):
    own = ["-o", f"archive.path={world.folder}/own"]
    victim = next((world.folder / "own/objects").rglob("*.dcm"))
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    done = world.run("verify", "--json", *own, conf=False)
    equal(done.returncode, FAILED)
    equal(json_lines(done.stdout)[-1]["faults"], 1)
    victim.write_bytes(whole)
    equal(world.run("verify", *own, conf=False).returncode, DONE)


def case_a_dead_peer_ends_with_1_and_a_reason(world):
    port = free_port()
    world.fails(FAILED, "echo", f"X@127.0.0.1:{port}", say="refused", conf=False)
    world.fails(FAILED, "find", f"X@127.0.0.1:{port}", "PatientID=1", say="refused", conf=False)
    world.fails(FAILED, "send", f"X@127.0.0.1:{port}", world.samples, say="refused", conf=False)


# ---- with a node ----

def case_the_node_starts(world):
    world.node.start()


def case_echo_answers_by_name_and_by_address(world):
    equal("answered" in world.ok("echo", world.peer, conf=False).stdout, True)
    row = world.rows("echo", "NODE")[0]
    equal((row["ok"], row["ae_title"], row["port"]), (True, "VITRINE", world.node.port))


def case_send_takes_folders_and_tells_each_failure(world):
    other = world.samples / "readme.txt"
    other.write_text("not DICOM")
    rows = world.rows("send", "NODE", world.samples)
    equal(rows[-1]["sent"], 38)
    equal((rows[-1]["failed"], rows[-1]["skipped"]), (0, 1))
    equal(len([row for row in rows if row.get("result") == "sent"]), 38)
    failed = world.folder / "failed.txt"
    done = world.fails(FAILED, "send", "NODE", other, world.samples / "cr", "--failed", failed)
    equal("readme.txt" in done.stderr, True)
    equal(failed.read_text(), f"{other}\n")
    failed.write_text("".join(f"{path}\n" for path in (world.samples / "mr").iterdir()))
    equal(world.rows("send", "NODE", "--from", failed)[-1]["sent"], 12)
    world.fails(FAILED, "send", "NODE", "/nowhere")
    world.fails(USAGE, "send", "NODE", say="--from")


def case_a_file_whose_header_names_another_instance_is_sent_as_its_data_set_says(world):
    ds = pydicom.dcmread(world.samples / "ct/0001.dcm")
    ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    del ds.file_meta.MediaStorageSOPClassUID
    odd = world.folder / "odd.dcm"
    pydicom.dcmwrite(odd, ds, write_like_original=True)
    equal(world.rows("send", "NODE", odd)[-1]["sent"], 1)
    whole = odd.read_bytes()
    odd.write_bytes(whole[:400].replace(b"1.2.840.10008.1.2.1\0", b"a nonsense syntax   ") + whole[400:])
    rows = world.run("--json", "send", "NODE", odd, world.samples / "cr")
    equal(rows.returncode, FAILED)
    equal({key: json_lines(rows.stdout)[-1][key] for key in ("sent", "failed")}, {"sent": 1, "failed": 1})


def case_find_prints_dicom_json_one_object_a_line(world):
    rows = world.rows("find", "NODE", "PatientName=müller*")
    equal(len(rows), 1)
    equal(rows[0]["00100010"], {"vr": "PN", "Value": [{"Alphabetic": "Müller^Anna"}]})
    equal(rows[0]["00201208"]["Value"], [24])
    for row in rows:
        pydicom.Dataset.from_json(json.dumps(row))
    equal(len(world.rows("find", "NODE")), 4)
    equal(len(world.rows("find", "NODE", "--level", "image", "Modality=MR")), 12)
    equal(len(world.rows("find", "NODE", "--level", "series")), 4)
    equal(len(world.rows("find", "NODE", "--level", "patient", "PatientID=VT-*")), 4)
    equal(len(world.rows("find", "NODE", "--level", "image", "--limit", "5")), 5)
    equal(world.rows("find", "NODE", "0010,0020=VT-0004")[0]["00080061"]["Value"], ["CR"])
    equal(world.rows("find", "NODE", "StudyDate=20260201-20260228", "--model", "patient")[0]["00080052"]["Value"], ["STUDY"])
    equal(world.ok("find", "NODE", "PatientID=NOBODY").stderr, "nothing matches\n")


def case_find_prints_a_table_for_people(world):
    lines = world.ok("find", "NODE", "PatientName=*", "StudyID").stdout.splitlines()
    equal(len(lines), 5)
    equal([word for word in lines[0].split()][:4], ["PatientName", "PatientID", "StudyDate", "StudyTime"])
    equal("StudyID" in lines[0] and any("1002" in line for line in lines), True)


def case_get_writes_what_was_sent(world):
    out = world.folder / "out"
    for key in ("PatientID=VT-0001", "AccessionNumber=VT1002", "PatientName=o'brien*"):
        world.ok("get", "NODE", "-o", out, key)
    study = world.studies()["VT-0004"]
    rows = world.rows("get", "NODE", "-o", out, f"StudyInstanceUID={study}")
    equal(pathlib.Path(rows[0]["file"]).parts[-3], study)
    equal(rows[-1]["completed"], 1)
    same(data_sets(world.samples), data_sets(out))
    equal([p for p in out.iterdir() if p.name.startswith(".")], [])
    series = world.rows("find", "NODE", "--level", "series", "Modality=MR")[0]["0020000E"]["Value"][0]
    world.ok("get", "NODE", "-o", world.folder / "series", "--level", "series", "Modality=MR")
    equal(len(list((world.folder / "series").rglob(f"{series}/*.dcm"))), 12)
    world.fails(FAILED, "get", "NODE", "-o", out, "StudyInstanceUID=1.2.3", say="nothing matches")


def case_move_sends_to_another_and_tells_why_not(world):
    sink = world.folder / "sink"
    sink.mkdir()
    study = world.studies()["VT-0001"]
    world.fails(FAILED, "move", "NODE", "--to", "NOBODY", f"StudyInstanceUID={study}", say="A801")
    world.fails(FAILED, "move", "NODE", "--to", "SINK", f"StudyInstanceUID={study}", say="A702")
    storescp = subprocess.Popen(["storescp", "-aet", "SINK", "+B", "-od", str(sink), "+xa", str(world.move_port)],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            if world.run("echo", f"SINK@127.0.0.1:{world.move_port}").returncode == DONE:
                break
            time.sleep(0.05)
        equal(world.rows("move", "NODE", "--to", "SINK", f"StudyInstanceUID={study}")[-1]["completed"], 24)
        equal("12 instances moved to SINK" in world.ok("move", "NODE", "--to", "SINK", "AccessionNumber=VT1002").stdout, True)
        equal(len(list(sink.iterdir())), 36)
        # and our own send to somebody else's SCP
        equal(world.rows("send", "SINK", world.samples)[-1]["sent"], 38)
    finally:
        storescp.terminate()
        storescp.wait()


def case_peers_are_listed_tested_and_explained(world):
    rows = {row["name"]: row for row in world.rows("peer", "list")}
    equal(sorted(rows), ["NODE", "SINK"])
    equal(rows["SINK"]["allow"], ["echo", "store"])
    done = world.run("peer", "test", "--json")
    equal(done.returncode, FAILED)
    equal({row["peer"]: row["ok"] for row in json_lines(done.stdout)}, {"NODE": True, "SINK": False})
    world.ok("peer", "test", "NODE")
    text = world.ok("peer", "explain", "SINK", "--from", "10.0.0.1").stdout
    for part in ("127.0.0.0/8", "echo store", "is not admitted"):
        equal(part in text, True, text)
    equal(world.rows("peer", "explain", "SINK", "--from", "127.0.0.9")[0]["admitted"], True)


def case_a_progress_line_is_drawn_on_a_terminal_only(world):
    equal("\r" in world.ok("send", "NODE", world.samples).stderr, False)
    master, slave = pty.openpty()
    process = subprocess.Popen([str(BIN / "vitrine"), "-c", str(world.conf), "send", "NODE", str(world.samples)],
                               stdout=subprocess.DEVNULL, stderr=slave)
    os.close(slave)
    seen = b""
    while True:
        try:
            part = os.read(master, 4096)
        except OSError:
            break
        if not part:
            break
        seen += part
    equal(process.wait(), DONE)
    os.close(master)
    equal(b"instances" in seen and b"\r" in seen, True, repr(seen[:200]))


def case_ctrl_c_ends_a_transfer_between_two_instances(world):
    process = subprocess.Popen([str(BIN / "vitrine"), "-c", str(world.conf), "--json", "send", "NODE", *[str(world.samples)] * 300],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.readline()                # the first file is there
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    equal(process.returncode, FAILED, errors)
    equal("stopped" in errors, True, errors)
    equal(json_lines(out)[-1]["sent"] < 38 * 300, True)
    world.ok("verify")


def case_a_second_ctrl_c_ends_what_waits_for_a_silent_peer(world):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        process = subprocess.Popen([str(BIN / "vitrine"), "echo", f"X@127.0.0.1:{silent.getsockname()[1]}"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        silent.settimeout(20)
        connection, _ = silent.accept()
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        equal(process.wait(10) != DONE, True)
        connection.close()


def case_studies_are_deleted_and_restored_inside_the_node(world):
    study = world.studies()["VT-0004"]
    shown = world.rows("study", "show", study)
    equal(shown[0]["SOPClassUID"], "1.2.840.10008.5.1.4.1.1.1")
    result = world.rows("study", "delete", study, "--reason", "sent twice")[-1]
    equal(result["instances"], 1)
    equal("VT-0004" in world.studies(), False)
    equal(world.rows("find", "NODE", "PatientID=VT-0004"), [])
    equal(world.rows("trash", "list")[0]["reason"], "sent twice")
    world.ok("study", "restore", result["trash"])
    equal(world.studies()["VT-0004"], study)
    world.ok("study", "delete", study)
    world.ok("study", "restore", study)
    world.ok("get", "NODE", "-o", world.folder / "restored", f"StudyInstanceUID={study}")
    same({uid: ds for uid, ds in data_sets(world.samples).items() if ds.Modality == "CR"}, data_sets(world.folder / "restored"))
    world.ok("study", "delete", study)
    equal(world.rows("trash", "purge")[-1]["instances"], 0)
    equal(world.rows("trash", "purge", "--all")[-1]["instances"], 1)
    equal(world.rows("trash", "list"), [])
    world.fails(FAILED, "study", "delete", "1.2.3")
    world.fails(USAGE, "study", "restore", "x", say="'x'")
    world.ok("send", "NODE", world.samples / "cr")


def changed(path, out, **attributes):
    ds = pydicom.dcmread(path)
    for key, value in attributes.items():
        setattr(ds, key, value)
    ds.save_as(out)
    return out


def case_versions_and_quarantine_are_listed_and_resolved(world):
    first = world.samples / "ct/0001.dcm"
    uid = pydicom.dcmread(first).SOPInstanceUID
    world.ok("send", "NODE", changed(first, world.folder / "version.dcm", StudyDescription="other words"))
    equal(world.rows("version", "list")[0]["SOPInstanceUID"], uid)
    equal(len(world.rows("version", "show", uid)) > 0, True)
    world.ok("version", "resolve", uid, "1")
    equal(world.rows("version", "list"), [])

    pixels = bytearray(pydicom.dcmread(first).PixelData)
    pixels[0] ^= 1
    world.fails(FAILED, "send", "NODE", changed(first, world.folder / "pixels.dcm", PixelData=bytes(pixels)))
    rows = world.rows("quarantine", "list")
    equal(len(rows), 1)
    world.ok("quarantine", "show", rows[0]["id"])
    world.fails(USAGE, "quarantine", "resolve", rows[0]["id"], "perhaps", say="perhaps")
    world.ok("quarantine", "resolve", rows[0]["id"], "discard")
    equal(world.rows("quarantine", "list"), [])


def case_patients_are_merged_corrected_and_undone(world):
    world.ok("patient", "correct", "VT-0004", "PatientName=Doe^Jane", "PatientSex=F", "--reason", "misread")
    equal(world.rows("find", "NODE", "PatientID=VT-0004")[0]["00100010"]["Value"], [{"Alphabetic": "Doe^Jane"}])
    out = world.folder / "corrected"
    world.ok("get", "NODE", "-o", out, "PatientID=VT-0004", "--level", "study", "--model", "study")
    ds = next(iter(data_sets(out).values()))
    equal((str(ds.PatientName), ds.PatientSex), ("Doe^Jane", "F"))
    equal(str(ds.OriginalAttributesSequence[0].ModifiedAttributesSequence[0].PatientName), "Doe^John^^Dr")
    action = world.rows("patient", "merge", "VT-0003", "VT-0002", "--reason", "registered twice")[-1]["action"]
    equal(len(world.rows("study", "list", "PatientID=VT-0002")), 2)
    equal(len(world.rows("patient", "log")) >= 2, True)
    world.ok("patient", "undo", action)
    equal(len(world.rows("study", "list", "PatientID=VT-0002")), 1)
    equal(world.rows("find", "NODE", "PatientID=VT-0003")[0]["00100010"]["Value"], [{"Alphabetic": "O'Brien^Seán"}])
    for row in world.rows("patient", "log"):
        if not row.get("undone"):
            world.run("patient", "undo", row["id"])
    equal(world.rows("find", "NODE", "PatientID=VT-0004")[0]["00100010"]["Value"], [{"Alphabetic": "Doe^John^^Dr"}])


def case_conflicts_are_listed_and_resolved(world):
    study = world.studies()["VT-0004"]
    first = world.samples / "cr/0001.dcm"
    other = changed(first, world.folder / "conflict.dcm", PatientID="VT-9999", SOPInstanceUID="2.25.1", SeriesInstanceUID="2.25.2")
    ds = pydicom.dcmread(other)
    ds.file_meta.MediaStorageSOPInstanceUID = "2.25.1"
    ds.save_as(other)
    world.ok("send", "NODE", other)
    rows = world.rows("conflict", "list")
    equal(len(rows) >= 1, True)
    world.ok("conflict", "show", rows[0]["id"])
    world.ok("conflict", "resolve", rows[0]["id"], "accept")
    equal([row["id"] for row in world.rows("conflict", "list") if row["id"] == rows[0]["id"]], [])
    equal(study in world.studies().values(), True)


def case_status_verify_and_reindex_run_inside_the_node(world):
    status = world.rows("status")[0]
    equal(status["ae_title"], "VITRINE")
    before = status["instances"]
    equal(world.rows("verify")[-1], {"checked": before, "faults": 0})
    equal(world.rows("reindex")[-1]["instances"] >= before, True)
    equal(world.rows("status")[0]["instances"], before)
    equal("instances" in world.ok("status").stdout, True)


def case_a_backup_of_a_running_node_serves_as_an_archive(world):
    world.ok("backup", world.folder / "backup")
    count = world.rows("status")[0]["instances"]
    own = ["-o", f"archive.path={world.folder}/backup"]
    equal(json_lines(world.ok("--json", "status", *own, conf=False).stdout)[0]["instances"], count)
    equal(json_lines(world.ok("--json", "verify", *own, conf=False).stdout)[-1]["faults"], 0)


def case_import_tells_what_became_of_each_file(world):
    (world.folder / "broken.dcm").write_bytes((world.samples / "ct/0002.dcm").read_bytes()[:700])
    done = world.run("--json", "import", world.samples, world.folder / "broken.dcm")
    result = json_lines(done.stdout)[-1]
    equal(done.returncode, FAILED)
    equal((result["failed"], result["stored"] + result["duplicates"] + result["versions"]), (1, 38))


def case_the_control_socket_is_private_and_outlives_nonsense(world):
    path = world.folder / "archive/control.sock"
    equal(path.stat().st_mode & 0o777, 0o600)

    def ask(data):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(15)
            s.connect(str(path))
            try:
                s.sendall(data)
            except BrokenPipeError:          # refused before all was read
                pass
            answer = b""
            while not answer.endswith(b"\n"):
                part = s.recv(65536)
                if not part:
                    break
                answer += part
        return json.loads(answer.splitlines()[0]) if answer else None

    equal(ask(b"nonsense\n")["error"]["code"], "protocol")
    equal(ask(b"[]\n")["error"]["code"], "protocol")
    equal(ask(b'{"verb":["paint"],"args":[]}\n')["error"]["code"], "unsupported")
    equal(ask(b'{"verb":[1],"args":[]}\n')["error"]["code"], "protocol")
    equal(ask(b'{"verb":["study","show"],"args":[]}\n')["error"]["code"], "invalid")
    equal(ask(b"x" * (2 << 20))["error"]["code"], "limit")
    idle = [socket.socket(socket.AF_UNIX) for _ in range(16)]
    for s in idle:
        s.connect(str(path))
    time.sleep(0.3)
    equal(ask(b'{"verb":["status"],"args":[]}\n')["error"]["code"], "busy")
    for s in idle:
        s.close()
    time.sleep(0.3)
    equal("row" in ask(b'{"verb":["status"],"args":[]}\n'), True)


def case_a_second_writer_is_refused_with_the_holder_named(world):
    held = world.folder / "archive/control.sock"
    away = world.folder / "archive/control.away"
    held.rename(away)
    try:
        world.fails(FAILED, "status", say=str(world.node.process.pid))
    finally:
        away.rename(held)


def case_the_node_ends_cleanly_and_takes_its_socket_along(world):
    equal(world.node.stop(), DONE)
    equal((world.folder / "archive/control.sock").exists(), False)
    equal(world.rows("status")[0]["vitrined"], "not running")


def main():
    os.environ["VITRINE_CONF"] = ""
    with work_folder("cli") as folder:
        world = World(folder)
        try:
            return cases.run(globals(), world)
        finally:
            if world.node.alive():
                world.node.stop()


if __name__ == "__main__":
    sys.exit(main())
