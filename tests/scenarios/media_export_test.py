#!/usr/bin/python3
"""Discs out: folders, ISO images and ZIP files that vitrine writes, judged by pydicom's FileSet, DCMTK's dcmdump, dciodvfy and xorriso; split over several
media, transcoded for the profile, and nothing left behind when it fails."""
import hashlib
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

import pydicom
from pydicom.fileset import FileSet

import cases
import media_import_test as media
from cases import equal
from node import BIN, Node, json_lines, work_folder

EXPLICIT = "1.2.840.10008.1.2.1"
FILE_ID = re.compile(r"DICOM(/[A-Z0-9_]{1,8}){1,7}")


class World(media.World):
    """The foreign instances of the import test in an archive, one of them of a patient without ID in implicit encoding."""

    def __init__(self, folder):
        super().__init__(folder)
        self.archive = self.folder / "archive"
        extra = media.instance("C3", media.generate_uid(), media.generate_uid(), 1)
        extra.PatientName, extra.SpecificCharacterSet, extra.PatientID, extra.StudyID = "Müller^Jörg", "ISO_IR 100", "", ""
        extra.is_implicit_VR = True
        extra.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
        extra.save_as(self.folder / "extra.dcm", write_like_original=False)
        self.instances.append(pydicom.dcmread(self.folder / "extra.dcm"))
        self.take(self.disc, self.folder / "extra.dcm", archive=self.archive)

    def out(self, *words, status=0):
        done = self.run(self.archive, "export", *words)
        equal(done.returncode, status, f"{words}: {done.stdout} {done.stderr}")
        return json_lines(done.stdout) if status == 0 else done.stderr


def partial(folder):
    return [path.name for path in folder.glob(".*partial*")]


def judge(world, folder, expected):
    """What pydicom, DCMTK, dciodvfy and our own checksums say of a file-set in a folder."""
    fileset = FileSet(folder / "DICOMDIR")
    equal({i.SOPInstanceUID for i in fileset}, {ds.SOPInstanceUID for ds in expected}, "what the DICOMDIR names")
    for entry in fileset:
        ds = entry.load()
        equal(ds.file_meta.TransferSyntaxUID, EXPLICIT, "transfer syntax")
        equal(ds.file_meta.MediaStorageSOPInstanceUID, ds.SOPInstanceUID, "group 0002")
        mine = next(ds for ds in expected if ds.SOPInstanceUID == entry.SOPInstanceUID)
        equal(ds.PixelData, mine.PixelData, "pixels")
        equal(str(ds.PatientName), str(mine.PatientName), "name")
    names = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    equal({n for n in names if not FILE_ID.fullmatch(n)}, {"DICOMDIR", "README.TXT", "SHA256.TXT"}, "file IDs")
    sums = dict(reversed(line.split("  ")) for line in (folder / "SHA256.TXT").read_text().splitlines())
    equal(set(sums), names - {"SHA256.TXT"}, "checksums")
    for name, value in sums.items():
        equal(hashlib.sha256((folder / name).read_bytes()).hexdigest(), value, name)
    dump = subprocess.run(["dcmdump", "+L", str(folder / "DICOMDIR")], capture_output=True, text=True, errors="replace", timeout=60, check=True)
    assert "W:" not in dump.stderr and "E:" not in dump.stderr, dump.stderr
    for path in [folder / "DICOMDIR", *(folder / "DICOM").rglob("IM*")]:
        said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, errors="replace", timeout=60, check=False).stderr
        wrong = [line for line in said.splitlines() if line.startswith("Error") and ("irector" in line or path.name == "DICOMDIR")]
        equal(wrong, [], str(path))


def case_a_folder_is_a_file_set_to_everybody(world):
    target = world.folder / "out"
    rows = world.out("PatientID=*", "-o", target)
    equal((rows[-1]["instances"], rows[-1]["media"], rows[-1]["failed"], rows[-1]["transcoded"]), (8, 1, 0, 1), "counts")
    judge(world, target, world.instances)
    equal(partial(world.folder), [], "temporary names")


def case_an_iso_image_is_read_by_xorriso_and_by_import(world):
    target = world.folder / "out.iso"
    world.out("PatientID=*", "-o", target)
    seen = world.folder / "from-iso"
    subprocess.run(["xorriso", "-osirrox", "on", "-indev", str(target), "-extract", "/", str(seen)], check=True, capture_output=True, timeout=60)
    subprocess.run(["chmod", "-R", "u+w", str(seen)], check=True)
    judge(world, seen, world.instances)
    rows, result = world.take(target)
    equal((rows, media.counts(result)), ([], [8, 0, 0]), "import of our own")


def case_a_zip_file_holds_the_same(world):
    target = world.folder / "out.zip"
    world.out("PatientID=*", "-o", target)
    with zipfile.ZipFile(target) as archive:
        equal(archive.testzip(), None, "CRCs")
        archive.extractall(world.folder / "from-zip")
    judge(world, world.folder / "from-zip", world.instances)
    rows, result = world.take(target)
    equal((rows, media.counts(result)), ([], [8, 0, 0]), "import of our own")


def case_icons_and_a_viewer_come_by_option(world):
    viewer = world.folder / "viewer"
    (viewer / "a long folder name").mkdir(parents=True)
    (viewer / "a long folder name/Viewer Program.exe").write_bytes(bytes(range(256)) * 20)
    (viewer / "AUTORUN.INF").write_text("[autorun]")
    (viewer / "link").symlink_to("/etc/passwd")
    for name in ("seen", "seen.iso", "seen.zip"):
        rows = world.out("PatientID=A1", "-o", world.folder / name, "--viewer", viewer, "--icons")
        equal(rows[-1]["instances"], 3, name)
    subprocess.run(["xorriso", "-osirrox", "on", "-indev", str(world.folder / "seen.iso"), "-extract", "/", str(world.folder / "seen-iso")],
                   check=True, capture_output=True, timeout=60)
    with zipfile.ZipFile(world.folder / "seen.zip") as archive:
        archive.extractall(world.folder / "seen-zip")
    for name in ("seen", "seen-iso", "seen-zip"):
        folder = world.folder / name
        equal((folder / "VIEWER/a long folder name/Viewer Program.exe").stat().st_size, 5120, name)
        assert (folder / "AUTORUN.INF").is_file() and not (folder / "VIEWER/link").exists(), name
        images = [record for record in pydicom.dcmread(folder / "DICOMDIR").DirectoryRecordSequence if record.DirectoryRecordType == "IMAGE"]
        for record in images:
            icon = record.IconImageSequence[0]
            equal((icon.Rows, icon.Columns, icon.PhotometricInterpretation, len(icon.PixelData)), (64, 64, "MONOCHROME2", 4096), name)
        assert any(any(record.IconImageSequence[0].PixelData) for record in images), "something is to be seen"
    rows, result = world.take(world.folder / "seen.iso")
    equal(media.counts(result), [3, 0, 0], "import of our own")
    assert "nowhere" in world.out("PatientID=A1", "-o", world.folder / "blind", "--viewer", world.folder / "nowhere", status=1)
    equal(partial(world.folder), [], "temporary names")


def digests(folder, names=str):
    """names(path) of every file below the folder: its SHA-256."""
    return {names(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def case_the_kernel_and_other_programs_read_the_images(world):
    viewer = world.folder / "others-viewer"
    (viewer / "Plug Ins").mkdir(parents=True)
    (viewer / "Plug Ins/größe über alles.html").write_bytes(b"x" * 3000)
    (viewer / "Plug Ins/empty").write_bytes(b"")
    (viewer / "start").write_bytes(b"s" * 2048)
    for name in ("others", "others.iso", "others.zip"):
        world.out("PatientID=*", "-o", world.folder / name, "--viewer", viewer)
    expected = digests(world.folder / "others")
    for program, words in (("unzip", ["-tqq"]), ("7zz", ["t"])):
        for image in ("others.zip",) if program == "unzip" else ("others.zip", "others.iso"):
            if shutil.which(program):
                subprocess.run([program, *words, str(world.folder / image)], check=True, capture_output=True, timeout=60)
    mounted = world.folder / "mounted"
    mounted.mkdir()
    level_1 = lambda path: str(path).split(";", maxsplit=1)[0].rstrip(".")
    for options, names in (("", str), (",norock,iocharset=utf8", str), (",norock,nojoliet,map=off", level_1)):
        mount = ["mount", "-o", "loop,ro" + options, str(world.folder / "others.iso"), str(mounted)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            print("     (no loop mount here)")
            return
        try:
            seen = digests(mounted, names)
        finally:
            subprocess.run(["umount", str(mounted)], check=True, capture_output=True)
        equal(sorted(seen.values()), sorted(expected.values()), f"files mounted{options}")
        if names == level_1:
            seen, expected = ({name: digest for name, digest in found.items() if not name.startswith("VIEWER/")} for found in (seen, expected))
        equal(seen, expected, f"mounted{options}")


# SOP class, record, what pydicom needs to know of it.
OTHERS = [("1.2.840.10008.5.1.4.1.1.11.1", "PRESENTATION", "PR"), ("1.2.840.10008.5.1.4.1.1.88.59", "KEY OBJECT DOC", "KO"),
          ("1.2.840.10008.5.1.4.1.1.88.33", "SR DOCUMENT", "SR"), ("1.2.840.10008.5.1.4.1.1.481.3", "RT STRUCTURE SET", "RTSTRUCT"),
          ("1.2.840.10008.5.1.4.1.1.481.5", "RT PLAN", "RTPLAN"), ("1.2.840.10008.5.1.4.1.1.481.2", "RT DOSE", "RTDOSE"),
          ("1.2.840.10008.5.1.4.1.1.104.1", "ENCAP DOC", "DOC"), ("1.2.840.10008.5.1.4.1.1.66.1", "REGISTRATION", "REG"),
          ("1.2.840.10008.5.1.4.1.1.9.1.1", "WAVEFORM", "ECG"), ("1.2.840.10008.5.1.4.1.1.66", "RAW DATA", "OT")]


def case_other_objects_have_records_of_their_own(world):
    archive, paths = world.folder / "others", []
    study = media.generate_uid()
    for number, (sop_class, _, modality) in enumerate(OTHERS, 1):
        ds = media.instance("MANY", study, media.generate_uid(), number)
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = sop_class
        ds.Modality = modality
        if modality != "RTDOSE":
            del ds.Rows, ds.Columns, ds.PixelData
        if modality in ("KO", "SR"):
            title = pydicom.Dataset()
            title.CodeValue, title.CodingSchemeDesignator, title.CodeMeaning = "113000", "DCM", "Of Interest"
            ds.ConceptNameCodeSequence = pydicom.Sequence([title])
        if modality == "PR":
            image, series = pydicom.Dataset(), pydicom.Dataset()
            image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = media.CT, media.generate_uid()
            series.SeriesInstanceUID, series.ReferencedImageSequence = media.generate_uid(), pydicom.Sequence([image])
            ds.ReferencedSeriesSequence = pydicom.Sequence([series])
        paths.append(world.folder / f"other{number}.dcm")
        ds.save_as(paths[-1], write_like_original=False)
    world.take(*paths, archive=archive)
    done = world.run(archive, "export", "PatientID=MANY", "-o", world.folder / "all-kinds")
    equal((done.returncode, json_lines(done.stdout)[-1]["instances"]), (0, len(OTHERS)), done.stdout)
    records = [r for r in pydicom.dcmread(world.folder / "all-kinds/DICOMDIR").DirectoryRecordSequence if "ReferencedFileID" in r]
    equal({(r.ReferencedSOPClassUIDInFile, r.DirectoryRecordType) for r in records}, {(c, t) for c, t, _ in OTHERS}, "records")
    said = subprocess.run(["dciodvfy", str(world.folder / "all-kinds/DICOMDIR")], capture_output=True, text=True, errors="replace", timeout=60,
                          check=False).stderr
    equal([line for line in said.splitlines() if line.startswith("Error") and "Blending" not in line], [],
          "dciodvfy")


def case_what_one_medium_does_not_hold_goes_on_several(world):
    archive = world.folder / "large"
    large = []
    for number in range(4):
        ds = media.instance("BIG", "2.25.71", "2.25.72", number + 1)
        ds.Rows = ds.Columns = 512
        ds.PixelData = bytes(512 * 512 * 2)
        ds.save_as(world.folder / f"large{number}.dcm", write_like_original=False)
        large.append(ds)
    world.take(*(world.folder / f"large{number}.dcm" for number in range(4)), archive=archive)
    done = world.run(archive, "export", "PatientID=BIG", "-o", world.folder / "split.iso", "--capacity", "2M")
    equal(done.returncode, 0, done.stderr)
    equal(json_lines(done.stdout)[-1]["media"], 2, done.stdout)
    seen = []
    for number in (1, 2):
        path = world.folder / f"split-{number}.iso"
        assert path.stat().st_size <= 2 << 20, path.stat().st_size
        folder = world.folder / f"split-{number}"
        subprocess.run(["xorriso", "-osirrox", "on", "-indev", str(path), "-extract", "/", str(folder)], check=True, capture_output=True,
                       timeout=60)
        subprocess.run(["chmod", "-R", "u+w", str(folder)], check=True)
        mine = {i.SOPInstanceUID for i in FileSet(folder / "DICOMDIR")}
        judge(world, folder, [ds for ds in large if ds.SOPInstanceUID in mine])
        seen += mine
    equal(sorted(seen), sorted(ds.SOPInstanceUID for ds in large), "each once")


def case_nothing_is_left_and_nothing_overwritten_when_it_fails(world):
    there = world.folder / "there.zip"
    there.write_text("mine")
    assert "there already" in world.out("PatientID=*", "-o", there, status=1)
    equal(there.read_text(), "mine", "what was there")
    assert "nothing matches" in world.out("PatientID=NOBODY", "-o", world.folder / "none.iso", status=1)
    assert not (world.folder / "none.iso").exists()
    world.out("PatientID=*", "-o", world.folder / "no/such/folder.iso", status=1)
    world.out("PatientID=*", status=2)
    world.out("PatientID=*", "-o", world.folder / "x", "--profile", "STD-NONE", status=2)
    world.out("PatientID=*", "-o", world.folder / "x", "--capacity", "a lot", status=2)
    equal(partial(world.folder), [], "temporary names")


def case_a_node_that_runs_writes_it_with_corrections_applied(world):
    with Node(world.fresh()) as node:
        equal(node.cli("import", world.disc).returncode, 0, "import")
        equal(node.cli("patient", "correct", "A1", "PatientName=Corrected^Name").returncode, 0, "correct")
        done = node.cli("export", "PatientID=A1", "-o", world.folder / "corrected")
        equal(done.returncode, 0, done.stderr)
    for entry in FileSet(world.folder / "corrected" / "DICOMDIR"):
        equal(str(entry.PatientName), "Corrected^Name", "in the record")
        equal(str(entry.load().PatientName), "Corrected^Name", "in the instance")


def main():
    if not shutil.which("xorriso"):
        print("xorriso is not installed")
        return 77
    with work_folder("media-export") as folder:
        return cases.run(globals(), World(folder))


if __name__ == "__main__":
    sys.exit(main())
