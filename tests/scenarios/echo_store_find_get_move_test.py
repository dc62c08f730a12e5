#!/usr/bin/python3
"""The five services with other people's clients: DCMTK's tools send, ask and fetch; pydicom compares what came back."""
import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pydicom
import rawdicom as raw
import rawget
import samples
from cases import equal, run
from node import Node, free_port, object_files, work_folder

STUDY = samples.ROOT
TOOL_SECONDS = 60


def tool(*words, expect=0):
    """One of DCMTK's; its output."""
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, errors="replace", timeout=TOOL_SECONDS,
                          stdin=subprocess.DEVNULL, env=dict(os.environ, TCP_NODELAY="1"), check=False)
    out = done.stdout + done.stderr
    if expect is not None and done.returncode != expect:
        raise AssertionError(f"{' '.join(map(str, words))} gave {done.returncode}:\n{out}")
    return out


class World:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.samples_folder = self.folder / "samples"
        self.samples_folder.mkdir()
        self.samples = samples.make(self.samples_folder)
        self.storescp_port, self.dead_port, self.movescu_port = free_port(), free_port(), free_port()
        self.sink = rawget.StorageScp()
        options = ["peer.KEEP.port=%d" % self.storescp_port, "peer.KEEP.host=127.0.0.1",
                   "peer.SINK.port=%d" % self.sink.port, "peer.SINK.host=127.0.0.1",
                   "peer.DEAD.port=%d" % self.dead_port, "peer.DEAD.host=127.0.0.1",
                   "peer.MOVESCU.port=%d" % self.movescu_port, "peer.MOVESCU.host=127.0.0.1"]
        self.node = Node(self.folder / "archive", options)

    def all_samples(self):
        return [path for paths in self.samples.values() for path in paths]

    def fresh(self, name):
        path = self.folder / name
        path.mkdir()
        return path

    def where(self):
        return ["-aec", "VITRINE", "127.0.0.1", self.node.port]

    def stored(self, path):
        """The archive's file of a sample."""
        files = object_files(self.node.path)
        return pathlib.Path(files[pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID][0])


def same_instance(a, b):
    """Attributes and pixel data, not the encoding of sequences or group 0002."""
    left, right = pydicom.dcmread(a), pydicom.dcmread(b)
    equal(left.get("PixelData"), right.get("PixelData"), "pixel data")
    for ds in (left, right):
        for element in list(ds):
            if element.tag.element == 0:
                del ds[element.tag]
    equal(left, right, "data set")


def same_bytes(a, b):
    """Data sets, byte by byte."""
    left, right = (raw.split_part10(pathlib.Path(p).read_bytes()) for p in (a, b))
    equal(left[0], right[0], "transfer syntax")
    if left[3] != right[3]:
        raise AssertionError(f"{a} and {b} differ")


# ---- echo ----

def case_echoscu_gets_an_answer(world):
    tool("echoscu", *world.where())
    tool("echoscu", "--repeat", "50", *world.where())
    tool("echoscu", "-ppc", "128", *world.where())
    tool("echoscu", "-pts", "10", *world.where())


# ---- store ----

def case_storescu_and_dcmsend_store_every_sample(world):
    s = world.samples
    tool("storescu", "-R", *world.where(), *s["ct"])
    tool("storescu", "-R", "-xi", *world.where(), *s["mr"])
    tool("dcmsend", *world.where(), *s["multi"], *s["jpeg"])
    tool("storescu", "-R", "-xb", *world.where(), *s["big"])
    tool("storescu", "-R", "-xd", *world.where(), *s["deflated"])
    equal(len(object_files(world.node.path)), len(world.all_samples()), "objects")
    for path in world.all_samples():
        same_instance(path, world.stored(path))


def case_the_stored_transfer_syntax_is_the_one_it_came_in(world):
    for path in world.all_samples():
        equal(pydicom.dcmread(world.stored(path)).file_meta.TransferSyntaxUID, pydicom.dcmread(path).file_meta.TransferSyntaxUID,
              path.name)


def case_the_whole_list_of_128_contexts_of_storescu_is_served(world):
    tool("storescu", *world.where(), *world.samples["ct"])


def case_a_second_arrival_of_the_same_bytes_is_a_success_and_no_second_file(world):
    before = sum(map(len, object_files(world.node.path).values()))
    tool("storescu", "-R", *world.where(), *world.samples["ct"])
    tool("storescu", "-R", "-xi", *world.where(), *world.samples["mr"])
    equal(sum(map(len, object_files(world.node.path).values())), before, "files")


# ---- find ----

def matches(world, *keys, model="-S", level="STUDY"):
    out = world.fresh(f"find-{time.monotonic_ns()}")
    words = [word for key in keys for word in ("-k", key)]
    tool("findscu", model, "-X", "-od", out, "-k", f"QueryRetrieveLevel={level}", *words, *world.where())
    return [pydicom.dcmread(path, force=True) for path in sorted(out.glob("*.dcm"))]


def case_findscu_finds_studies_by_every_usual_key(world):
    for key in (f"StudyInstanceUID={STUDY}.1", "PatientID=PAT1", "AccessionNumber=ACC1", "StudyDate=20240101", "StudyDate=20231231-20240101",
                "StudyDescription=Thorax", "StudyDescription=Tho*", "StudyID=1"):
        found = matches(world, key, *([] if key.startswith("StudyInstanceUID") else ["StudyInstanceUID"]))
        equal([ds.StudyInstanceUID for ds in found], [f"{STUDY}.1"], key)
    equal({ds.StudyInstanceUID for ds in matches(world, "PatientName=smith*", "StudyInstanceUID")}, {f"{STUDY}.2", f"{STUDY}.3"})
    equal({ds.StudyInstanceUID for ds in matches(world, "PatientName=*MITH*", "StudyInstanceUID")}, {f"{STUDY}.2", f"{STUDY}.3"})
    equal({ds.StudyInstanceUID for ds in matches(world, "ModalitiesInStudy=MR", "StudyInstanceUID")}, {f"{STUDY}.2"})
    equal(len(matches(world, "StudyInstanceUID")), 6)
    equal(matches(world, "PatientID=NOBODY"), [])


def case_every_level_of_both_models_answers_with_counts(world):
    study, = matches(world, f"StudyInstanceUID={STUDY}.1", "NumberOfStudyRelatedInstances", "NumberOfStudyRelatedSeries",
                     "ModalitiesInStudy", "PatientName")
    equal((int(study.NumberOfStudyRelatedInstances), int(study.NumberOfStudyRelatedSeries), study.ModalitiesInStudy), (8, 1, "CT"))
    equal(str(study.PatientName), "M\xfcller^J\xf6rg")
    equal(study.RetrieveAETitle, "VITRINE")
    series, = matches(world, f"StudyInstanceUID={STUDY}.1", "SeriesInstanceUID", "NumberOfSeriesRelatedInstances", level="SERIES")
    equal((series.SeriesInstanceUID, int(series.NumberOfSeriesRelatedInstances)), (f"{STUDY}.1.1", 8))
    images = matches(world, f"StudyInstanceUID={STUDY}.1", f"SeriesInstanceUID={STUDY}.1.1", "SOPInstanceUID", "InstanceNumber",
                     level="IMAGE")
    equal([int(ds.InstanceNumber) for ds in images], list(range(1, 9)))
    patients = matches(world, "PatientID", "PatientName", "NumberOfPatientRelatedInstances", model="-P", level="PATIENT")
    equal(len(patients), 6)
    equal(len(matches(world, "PatientID=PAT2", "StudyInstanceUID", model="-O")), 1)


def case_a_wrong_level_is_A900_and_names_the_element(world):
    with raw.Association(world.node.port, contexts=[(raw.STUDY_FIND, [raw.EXPLICIT])]) as a:
        for level in ("PATIENT", "NONSENSE", ""):
            status, found, values = a.find(rawget.keys(level, study=f"{STUDY}.1"))
            equal((status, found), (0xA900, []), level)
            if not raw.comment_of(values):
                raise AssertionError("no Error Comment")


def case_an_umlaut_is_found_in_the_asker_s_own_character_set(world):
    for charset, name in (("ISO_IR 100", "m\xfcller*".encode("latin-1")), ("ISO_IR 192", "m\xfcller*".encode("utf-8"))):
        identifier = (raw.element(0x00080005, "CS", charset) + raw.element(0x00080052, "CS", "STUDY") +
                      raw.element(0x00100010, "PN", name + b" " * (len(name) % 2)) + raw.element(0x0020000D, "UI", ""))
        with raw.Association(world.node.port, contexts=[(raw.STUDY_FIND, [raw.EXPLICIT])]) as a:
            status, found, _ = a.find(identifier)
        equal((status, len(found)), (0, 1), charset)
        values = raw.elements_of(found[0])
        equal(values[0x00100010].rstrip(b" "), "M\xfcller^J\xf6rg".encode("latin-1" if charset.endswith("100") else "utf-8"))


def case_implicit_and_explicit_askers_get_their_own_encoding(world):
    identifier = raw.implicit_element(0x00080052, "STUDY ") + raw.implicit_element(0x0020000D, f"{STUDY}.1")
    with raw.Association(world.node.port, contexts=[(raw.STUDY_FIND, [raw.IMPLICIT])]) as a:
        status, found, _ = a.find(identifier)
    equal((status, len(found)), (0, 1))
    equal(raw.text(raw.elements_of(found[0], implicit=True), 0x0020000D), f"{STUDY}.1")


# ---- get ----

def case_getscu_brings_back_the_stored_bytes(world):
    out = world.fresh("get-ct")
    tool("getscu", "-S", "+B", "-od", out, "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={STUDY}.1", *world.where())
    equal(len(list(out.iterdir())), 8)
    for path in out.iterdir():
        same_bytes(path, world.stored(path))


def case_getscu_gets_an_implicit_instance_in_explicit_form(world):
    out = world.fresh("get-mr")
    tool("getscu", "-S", "+xe", "-od", out, "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={STUDY}.2", *world.where())
    equal(len(list(out.iterdir())), 3)
    for path in out.iterdir():
        same_instance(path, world.stored(path))


def raw_get(world, identifier, syntaxes, classes, **more):
    contexts = [(raw.STUDY_GET, [raw.EXPLICIT])] + [(c, [s]) for c in classes for s in syntaxes]
    with raw.Association(world.node.port, contexts=contexts, roles=classes) as a:
        return rawget.get(a, identifier, **more)


def case_every_sample_comes_back_byte_by_byte_in_its_own_syntax(world):
    for number, path in ((3, world.samples["multi"][0]), (4, world.samples["jpeg"][0]), (5, world.samples["big"][0]),
                         (6, world.samples["deflated"][0])):
        ds = pydicom.dcmread(path)
        status, found, _, _ = raw_get(world, rawget.keys("STUDY", study=f"{STUDY}.{number}"), [ds.file_meta.TransferSyntaxUID],
                                      [ds.SOPClassUID])
        equal((status, list(found)), (0, [ds.SOPInstanceUID]), path.name)
        equal(found[ds.SOPInstanceUID][1], raw.split_part10(world.stored(path).read_bytes())[3], path.name)


def case_big_endian_and_deflated_are_re_encoded_for_who_takes_explicit_only(world):
    for path in (world.samples["big"][0], world.samples["deflated"][0], world.samples["mr"][0]):
        ds = pydicom.dcmread(path)
        status, found, _, _ = raw_get(world, rawget.keys("IMAGE", study=ds.StudyInstanceUID, series=ds.SeriesInstanceUID,
                                                         sop=ds.SOPInstanceUID), [raw.EXPLICIT], [ds.SOPClassUID])
        equal(status, 0, path.name)
        back = world.fresh(f"recoded-{path.stem}") / "a.dcm"
        back.write_bytes(raw.part10(found[ds.SOPInstanceUID][1], raw.EXPLICIT, ds.SOPClassUID, ds.SOPInstanceUID))
        again = pydicom.dcmread(back)
        words = ds.PixelData if ds.file_meta.TransferSyntaxUID != raw.BIG_ENDIAN else samples._swapped(ds.PixelData)
        equal(again.PixelData, words, "pixels")
        for element in ds:
            if element.keyword != "PixelData":
                equal(again[element.tag].value, element.value, element.keyword)


def case_broken_frames_fail_for_who_does_not_take_them_as_they_are(world):
    ds = pydicom.dcmread(world.samples["jpeg"][0])
    status, found, final, _ = raw_get(world, rawget.keys("STUDY", study=f"{STUDY}.4"), [raw.EXPLICIT], [ds.SOPClassUID])
    equal((status, found), (0xA702, {}))
    equal((raw.us(final, 0x1021), raw.us(final, 0x1022)), (0, 1))
    equal(raw.text(raw.elements_of(final["identifier"]), 0x00080058), ds.SOPInstanceUID)
    if "JPEG Baseline" not in raw.comment_of(final):
        raise AssertionError(raw.comment_of(final))


def case_without_the_scp_role_every_sub_operation_fails(world):
    contexts = [(raw.STUDY_GET, [raw.EXPLICIT]), (raw.CT, [raw.EXPLICIT])]
    with raw.Association(world.node.port, contexts=contexts) as a:
        status, found, final, _ = rawget.get(a, rawget.keys("STUDY", study=f"{STUDY}.1"))
    equal((status, found, raw.us(final, 0x1022)), (0xA702, {}, 8))
    if "SCP role" not in raw.comment_of(final):
        raise AssertionError(raw.comment_of(final))


def case_a_class_that_was_not_proposed_makes_a_partial_retrieval(world):
    status, found, final, _ = raw_get(world, rawget.keys("PATIENT", patient="PAT1"), [raw.EXPLICIT], [raw.CT])
    equal(status, 0xA900, "PATIENT is no level of the study root")
    both = raw.element(0x00080052, "CS", "STUDY") + raw.element(0x0020000D, "UI", f"{STUDY}.1\\{STUDY}.3")
    status, found, final, _ = raw_get(world, both, [raw.EXPLICIT], [raw.CT])
    equal((status, len(found), raw.us(final, 0x1021), raw.us(final, 0x1022)), (0xB000, 8, 8, 1))


def case_statuses_of_the_receiver_are_counted(world):
    status, _, final, _ = raw_get(world, rawget.keys("STUDY", study=f"{STUDY}.1"), [raw.EXPLICIT], [raw.CT], status=0xB000)
    equal((status, raw.us(final, 0x1021), raw.us(final, 0x1023)), (0xB000, 0, 8))
    status, _, final, _ = raw_get(world, rawget.keys("STUDY", study=f"{STUDY}.1"), [raw.EXPLICIT], [raw.CT], status=0xA700)
    equal((status, raw.us(final, 0x1022)), (0xA702, 8))


def case_a_get_is_cancelled_after_the_instance_that_runs(world):
    status, found, final, _ = raw_get(world, rawget.keys("STUDY", study=f"{STUDY}.1"), [raw.EXPLICIT], [raw.CT], cancel_after=2)
    equal((status, len(found), raw.us(final, 0x1020), raw.us(final, 0x1021)), (0xFE00, 2, 6, 2))


def case_nothing_to_retrieve_is_a_success_of_nothing(world):
    status, found, final, _ = raw_get(world, rawget.keys("STUDY", study="1.2.3.4.5"), [raw.EXPLICIT], [raw.CT])
    equal((status, found, raw.us(final, 0x1021), raw.us(final, 0x1022)), (0, {}, 0, 0))


# ---- move ----

def case_movescu_moves_to_storescp_byte_by_byte(world):
    out = world.fresh("moved")
    server = subprocess.Popen(["storescp", "+B", "+xa", "-od", str(out), str(world.storescp_port)], stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while subprocess.run(["echoscu", "127.0.0.1", str(world.storescp_port)], capture_output=True, check=False).returncode:
            if time.monotonic() > deadline:
                raise AssertionError("storescp does not answer")
            time.sleep(0.05)
        for number in (1, 2, 3, 4, 5, 6):
            tool("movescu", "-S", "-aem", "KEEP", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={STUDY}.{number}",
                 *world.where())
    finally:
        server.terminate()
        server.wait()
    equal(len(list(out.iterdir())), len(world.all_samples()))
    for path in out.iterdir():
        same_bytes(path, world.stored(path))


def case_movescu_receives_on_its_own_port(world):
    out = world.fresh("movescu")
    tool("movescu", "-S", "-aet", "MOVESCU", "-aem", "MOVESCU", "+P", world.movescu_port, "-od", out, "-k", "QueryRetrieveLevel=STUDY",
         "-k", f"StudyInstanceUID={STUDY}.1", *world.where())
    equal(len(list(out.iterdir())), 8)
    for path in out.iterdir():
        same_instance(path, world.stored(path))


def raw_move(world, destination, identifier, **more):
    with raw.Association(world.node.port, calling="MOVER", contexts=[(raw.STUDY_MOVE, [raw.EXPLICIT])]) as a:
        return rawget.move(a, destination, identifier, **more)


def case_an_unknown_destination_is_A801(world):
    status, final, pendings = raw_move(world, "NOBODY", rawget.keys("STUDY", study=f"{STUDY}.1"))
    equal((status, pendings), (0xA801, []))
    equal(raw.us(final, 0x1021), None, "counters")
    out = tool("movescu", "-v", "-S", "-aem", "NOBODY", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={STUDY}.1",
               *world.where(), expect=None)
    if "MoveDestinationUnknown" not in out.replace(" ", ""):
        raise AssertionError(out)


def case_a_dead_destination_is_A702_with_the_list(world):
    status, final, _ = raw_move(world, "DEAD", rawget.keys("STUDY", study=f"{STUDY}.1"))
    equal((status, raw.us(final, 0x1020), raw.us(final, 0x1021), raw.us(final, 0x1022)), (0xA702, None, 0, 8))
    equal(len(raw.text(raw.elements_of(final["identifier"]), 0x00080058).split("\\")), 8)


def case_a_destination_that_takes_some_makes_B000(world):
    with rawget.StorageScp(accept=lambda abstract, syntaxes: syntaxes[0] if abstract == raw.CT else None) as some:
        pass
    both = raw.element(0x00080052, "CS", "STUDY") + raw.element(0x0020000D, "UI", f"{STUDY}.1\\{STUDY}.3")
    world.sink.accept = some.accept
    try:
        status, final, _ = raw_move(world, "SINK", both)
    finally:
        world.sink.accept = lambda abstract, syntaxes: syntaxes[0]
    equal((status, raw.us(final, 0x1021), raw.us(final, 0x1022)), (0xB000, 8, 1))


def case_sub_operations_name_the_mover_and_its_message(world):
    world.sink.instances.clear()
    status, final, _ = raw_move(world, "SINK", rawget.keys("STUDY", study=f"{STUDY}.1"))
    equal((status, raw.us(final, 0x1021), len(world.sink.instances)), (0, 8, 8))
    for values, data_set in world.sink.instances.values():
        equal((raw.text(values, 0x1030), raw.us(values, 0x1031)), ("MOVER", 1))
    for path in world.samples["ct"]:
        uid = pydicom.dcmread(path).SOPInstanceUID
        equal(world.sink.instances[uid][1], raw.split_part10(world.stored(path).read_bytes())[3], path.name)


def case_a_move_is_cancelled_between_sub_operations(world):
    world.sink.on_store = lambda values: time.sleep(0.4) or 0
    try:
        begun = time.monotonic()
        status, final, _ = raw_move(world, "SINK", rawget.keys("STUDY", study=f"{STUDY}.1"), cancel_after=1)
    finally:
        world.sink.on_store = lambda values: 0
    equal(status, 0xFE00)
    done, remaining = raw.us(final, 0x1021), raw.us(final, 0x1020)
    equal(done + remaining, 8)
    if not 0 < done < 8 or time.monotonic() - begun > 5:
        raise AssertionError(f"{done} sent, {remaining} remaining")


def case_pending_answers_come_every_second_while_one_instance_is_slow(world):
    world.sink.on_store = lambda values: time.sleep(3.5) or 0
    try:
        ds = pydicom.dcmread(world.samples["multi"][0])
        status, final, pendings = raw_move(world, "SINK", rawget.keys("STUDY", study=ds.StudyInstanceUID))
    finally:
        world.sink.on_store = lambda values: 0
    equal((status, raw.us(final, 0x1021)), (0, 1))
    if len(pendings) < 2:
        raise AssertionError(f"{len(pendings)} pending answers")
    equal([raw.us(pendings[0], number) for number in (0x1020, 0x1021, 0x1022, 0x1023)], [1, 0, 0, 0])


def case_a_mover_that_leaves_stops_its_move_and_harms_nobody(world):
    world.sink.on_store = lambda values: time.sleep(0.3) or 0
    world.sink.instances.clear()
    try:
        a = raw.Association(world.node.port, calling="MOVER", contexts=[(raw.STUDY_MOVE, [raw.EXPLICIT])])
        a.send_message(1, {0x0002: raw.STUDY_MOVE, 0x0100: raw.C_MOVE, 0x0110: 1, 0x0600: "SINK", 0x0700: 0, 0x0800: 0},
                       rawget.keys("STUDY", study=f"{STUDY}.1"))
        time.sleep(0.5)
        a.abort()
        time.sleep(1.5)
    finally:
        world.sink.on_store = lambda values: 0
    if len(world.sink.instances) > 5:
        raise AssertionError(f"{len(world.sink.instances)} of 8 were sent after the mover had left")
    tool("echoscu", *world.where())


# ---- corrected patients ----

def case_a_corrected_patient_goes_out_corrected_and_the_file_stays(world):
    before = world.stored(world.samples["mr"][0]).read_bytes()
    done = world.node.cli("patient", "correct", "PAT2", "PatientName=Smith^Jonathan", "PatientBirthDate=19700201", "--reason", "misread")
    equal(done.returncode, 0, done.stdout + done.stderr)
    equal({str(ds.PatientName) for ds in matches(world, "PatientID=PAT2", "PatientName")}, {"Smith^Jonathan"})
    ds = pydicom.dcmread(world.samples["mr"][0])
    key = rawget.keys("STUDY", study=f"{STUDY}.2")
    status, found, _, _ = raw_get(world, key, [raw.IMPLICIT], [ds.SOPClassUID])
    equal((status, len(found)), (0, 3))
    world.sink.instances.clear()
    status, final, _ = raw_move(world, "SINK", key)
    equal((status, raw.us(final, 0x1021)), (0, 3))
    for which, data_set in (("get", found[ds.SOPInstanceUID][1]), ("move", world.sink.instances[ds.SOPInstanceUID][1])):
        path = world.fresh(f"corrected-{which}") / "a.dcm"
        path.write_bytes(raw.part10(data_set, raw.IMPLICIT, ds.SOPClassUID, ds.SOPInstanceUID))
        out = pydicom.dcmread(path)
        equal((str(out.PatientName), out.PatientBirthDate), ("Smith^Jonathan", "19700201"), which)
        equal(str(out.OriginalAttributesSequence[-1].ModifiedAttributesSequence[0].PatientName), "Smith^John", which)
        equal(out.PixelData, ds.PixelData, which)
    equal(world.stored(world.samples["mr"][0]).read_bytes(), before, "the file")


def main():
    with work_folder("services") as folder:
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
