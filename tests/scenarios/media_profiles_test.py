#!/usr/bin/python3
"""Discs for each application profile, of instances in every transfer syntax: what a profile allows goes as it is stored, the rest is
transcoded without loss, judged by DCMTK and GDCM, who decode both. And dciodvfy on every object that goes out changed: transcoded,
coerced to another patient, corrected; it finds no error that was not there before."""
import pathlib
import shutil
import subprocess
import sys

import pydicom
from pydicom.fileset import FileSet

import cases
import media_import_test as media
import transcode_test as kinds
from cases import equal
from node import Node, json_lines, work_folder

EXPLICIT = "1.2.840.10008.1.2.1"
JPEG_ALL = {EXPLICIT, kinds.JPEG, "1.2.840.10008.1.2.4.51", kinds.LOSSLESS}
J2K_ALL = {EXPLICIT, kinds.JPEG_2000, "1.2.840.10008.1.2.4.91"}
PROFILES = {"STD-GEN-CD": {EXPLICIT}, "STD-GEN-DVD-RAM": {EXPLICIT}, "STD-GEN-DVD-JPEG": JPEG_ALL, "STD-GEN-USB-JPEG": JPEG_ALL,
            "STD-GEN-DVD-J2K": J2K_ALL, "STD-GEN-USB-J2K": J2K_ALL}
DECODERS = {kinds.JPEG: ["dcmdjpeg", "+te"], kinds.LOSSLESS: ["dcmdjpeg", "+te"], kinds.JPEG_LS: ["dcmdjpls", "+te"],
            kinds.JPEG_2000: ["gdcmconv", "--raw"], kinds.RLE: ["dcmdrle", "+te"]}


def errors(path):
    said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, errors="replace", timeout=60, check=False).stderr
    return {line for line in said.splitlines() if line.startswith("Error")}


class World(media.World):
    def __init__(self, folder):
        super().__init__(folder)
        self.archive = self.folder / "kinds"
        self.stored = {}
        wanted = [*((kind, False) for kind in kinds.KINDS), ("rle", True), ("jpeg", True)]
        for i, (kind, colour) in enumerate(wanted):
            self.keep(kinds.make(self.folder, 10 + i, kind, colour))
        packed = self.folder / "packed.dcm"
        kinds.tool("gdcmconv", "--j2k", kinds.make(self.folder, 30, "plain", False), packed)
        self.keep(packed)
        self.take(*(path for path in self.stored.values()), archive=self.archive)

    def keep(self, path):
        self.stored[pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID] = path

    def decoded(self, path):
        """Its pixels, and what dciodvfy says of it, by other people's decoders."""
        syntax = pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID
        plain = self.folder / "decoded.dcm"
        kinds.tool(*DECODERS.get(syntax, ["dcmconv", "+te"]), path, plain)
        return pydicom.dcmread(plain).pixel_array.tobytes(), errors(plain)


def case_each_profile_holds_what_it_allows_and_the_rest_without_loss(world):
    before_it = {uid: world.decoded(path) for uid, path in world.stored.items()}
    for profile, allowed in PROFILES.items():
        target = world.folder / profile
        done = world.run(world.archive, "export", "PatientID=*", "-o", target, "--profile", profile)
        equal(done.returncode, 0, f"{profile}: {done.stdout} {done.stderr}")
        seen, kept = FileSet(target / "DICOMDIR"), 0
        equal({i.SOPInstanceUID for i in seen}, set(world.stored), profile)
        for entry in seen:
            before = pydicom.dcmread(world.stored[entry.SOPInstanceUID], stop_before_pixels=True).file_meta.TransferSyntaxUID
            after = pydicom.dcmread(entry.path, stop_before_pixels=True).file_meta.TransferSyntaxUID
            assert after in allowed and (after == before or before not in allowed), (profile, before, after)
            kept += after == before and before != EXPLICIT
            equal(entry.ReferencedTransferSyntaxUIDInFile, after, f"{profile}: the record of {before}")
            pixels, known = before_it[entry.SOPInstanceUID]
            equal(world.decoded(entry.path)[0], pixels, f"{profile}: pixels of {before}")
            new = errors(entry.path) - known - errors(world.stored[entry.SOPInstanceUID])
            equal(new, set(), f"{profile}: new errors of dciodvfy, from {before}")
        equal(kept, {1: 0, 4: 2, 3: 1}[len(allowed)], f"{profile}: went as they are stored")
        equal(errors(target / "DICOMDIR"), set(), f"{profile}: the DICOMDIR")


def code(value, meaning):
    item = pydicom.Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return pydicom.Sequence([item])


def report(study, sop_class, modality):
    """With what a directory record needs of the inside of a report."""
    ds = media.instance("KEYS", study, media.generate_uid(), 1)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = sop_class
    for name in ("Rows", "Columns", "PixelData"):
        delattr(ds, name)
    ds.Modality, ds.ContentDate, ds.ContentTime, ds.CompletionFlag, ds.VerificationFlag = modality, "20200101", "101010", "COMPLETE", "VERIFIED"
    ds.ConceptNameCodeSequence = code("113000", "Of Interest")
    modifier, finding, observer = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    modifier.RelationshipType, modifier.ValueType = "HAS CONCEPT MOD", "CODE"
    modifier.ConceptNameCodeSequence, modifier.ConceptCodeSequence = code("121049", "Language of Content Item"), code("ENG", "English")
    finding.RelationshipType, finding.ValueType, finding.TextValue = "CONTAINS", "TEXT", "nothing"
    finding.ConceptNameCodeSequence = code("121071", "Finding")
    observer.VerificationDateTime = "20200102030405"
    ds.ContentSequence, ds.VerifyingObserverSequence = pydicom.Sequence([modifier, finding]), pydicom.Sequence([observer])
    return ds


def keys(directory):
    """Of each record below a series: what stands in it beside the directory's own elements."""
    return {str(record.ReferencedSOPInstanceUIDInFile): {element.keyword: str(element.value) for element in record if element.tag.group != 4}
            for record in pydicom.dcmread(directory).DirectoryRecordSequence if "ReferencedFileID" in record}


def case_records_have_the_keys_that_dcmmkdir_gives_them(world):
    study = media.generate_uid()
    image = media.instance("KEYS", study, media.generate_uid(), 1)
    named = pydicom.Dataset()
    named.ReferencedSOPClassUID, named.ReferencedSOPInstanceUID = media.CT, "1.2.826.1"
    image.ReferencedImageSequence = pydicom.Sequence([named])
    paths = []
    for ds in (image, report(study, "1.2.840.10008.5.1.4.1.1.88.33", "SR"), report(study, "1.2.840.10008.5.1.4.1.1.88.59", "KO")):
        paths.append(world.folder / f"key{len(paths)}.dcm")
        ds.save_as(paths[-1], write_like_original=False)
    archive, ours, theirs = world.folder / "keys", world.folder / "keys-ours", world.folder / "keys-theirs"
    world.take(*paths, archive=archive)
    equal(world.run(archive, "export", "PatientID=KEYS", "-o", ours).returncode, 0, "export")
    shutil.copytree(ours / "DICOM", theirs / "DICOM")
    subprocess.run(["dcmmkdir", "-Pgp", "+r", "DICOM"], cwd=theirs, check=True, capture_output=True, timeout=60)
    equal(keys(ours / "DICOMDIR"), keys(theirs / "DICOMDIR"), "keys of the records")


def case_a_private_transfer_syntax_is_told_and_the_rest_goes(world):
    archive, path = world.folder / "private", world.folder / "private.dcm"
    ds = media.instance("PRIV", "2.25.91", "2.25.92", 1)
    ds.file_meta.TransferSyntaxUID = "1.2.826.0.1.99.7"
    ds.save_as(path, write_like_original=False)
    world.take(world.disc, archive=archive)
    if world.run(archive, "import", path).returncode:
        print("     (the archive does not take it)")
        return
    done = world.run(archive, "export", "PatientID=*", "-o", world.folder / "rest")
    rows = json_lines(done.stdout)
    equal((done.returncode, rows[-1]["instances"], rows[-1]["failed"]), (1, 7, 1), done.stdout)


def case_what_goes_out_with_another_patient_is_as_valid_as_before(world):
    with Node(world.folder / "corrected") as node:
        local = world.folder / "local.dcm"
        media.instance("LOCAL", media.generate_uid(), media.generate_uid(), 1).save_as(local, write_like_original=False)
        equal(node.cli("import", local).returncode, 0, "the local patient")
        equal(node.cli("import", world.disc, "--patient-id", "LOCAL").returncode, 0, "the others, under it")
        equal(node.cli("patient", "correct", "LOCAL", "PatientName=Corrected^Name", "PatientBirthDate=19600202").returncode, 0)
        target, fetched = world.folder / "coerced", world.folder / "fetched"
        equal(node.cli("export", "PatientID=LOCAL", "-o", target).returncode, 0, "export")
        study = world.instances[0].StudyInstanceUID
        assert node.cli("get", f"VITRINE@127.0.0.1:{node.port}", f"StudyInstanceUID={study}", "-o", fetched).returncode in (0, 2)
    before = {path: errors(path) for path in world.disc.rglob("*") if path.is_file() and path.name not in ("DICOMDIR", "README.TXT")}
    known = set().union(*before.values(), errors(local))
    out = [entry.path for entry in FileSet(target / "DICOMDIR")] + [path for path in fetched.rglob("*.dcm")]
    assert len(out) > 8, out
    for path in out:
        ds = pydicom.dcmread(path)
        equal((ds.PatientID, str(ds.PatientName)), ("LOCAL", "Corrected^Name"), str(path))
        assert "OriginalAttributesSequence" in ds, path
        equal(errors(path) - known, set(), f"{path}: new errors of dciodvfy")


def main():
    for tool in ("dciodvfy", "gdcmconv", "dcmcjpeg"):
        if not shutil.which(tool):
            print(f"{tool} is not installed")
            return 77
    with work_folder("media-profiles") as folder:
        return cases.run(globals(), World(pathlib.Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
