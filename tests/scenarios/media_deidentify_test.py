#!/usr/bin/python3
"""De-identified discs, judged by pydicom and dciodvfy: in every file each data set is walked, and no value that says who it was occurs anywhere in
its bytes; UIDs stay consistent over the export; pixels stay as they are; what cannot be cleaned does not go."""
import pathlib
import subprocess
import sys

import pydicom
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

import cases
import media_export_test as export
import media_import_test as media
from cases import equal
from node import json_lines, shared_data, work_folder

NAMES = ["Jones^Mary", "PID-0815", "ACC-4711", "Saint Elsewhere", "Doctor^Strange", "STATION7", "Occupied^Operator", "Baker Street 221"]
SAFE_MEANING = "A code of a public scheme"


def item(**values):
    ds = Dataset()
    for name, value in values.items():
        setattr(ds, name, value)
    return ds


def mary(number, study, series, frame):
    """A CT with names in every corner."""
    ds = media.instance("PID-0815", study, series, number)
    ds.PatientName, ds.AccessionNumber, ds.InstitutionName, ds.ReferringPhysicianName = NAMES[0], NAMES[2], NAMES[3], NAMES[4]
    ds.StationName, ds.OperatorsName, ds.PatientAddress = NAMES[5], NAMES[6], NAMES[7]
    ds.Manufacturer, ds.FrameOfReferenceUID = "ACME", frame
    ds.PositionReferenceIndicator, ds.AcquisitionNumber, ds.KVP = "", 1, "120"
    ds.RescaleIntercept, ds.RescaleSlope, ds.SliceThickness = "0", "1", "1"
    ds.StudyDescription, ds.SeriesDescription = "Thorax of Mary Jones, born 19501224", "Doctor Strange asked"
    ds.StudyDate, ds.ContentDate, ds.PatientBirthDate = "20200301", f"2020030{number}", "19501224"
    ds.ContentTime = "111213"
    ds.RequestAttributesSequence = Sequence([item(RequestedProcedureDescription="for Mary Jones", ScheduledProcedureStepID="S1")])
    ds.ReferencedImageSequence = Sequence([item(ReferencedSOPClassUID=media.CT, ReferencedSOPInstanceUID=study)])
    ds.ProcedureCodeSequence = Sequence([item(CodeValue="P1", CodingSchemeDesignator="DCM", CodeMeaning=SAFE_MEANING)])
    block = ds.private_block(0x0009, "ACME HEADER", create=True)
    block.add_new(1, "LO", "Mary Jones in a private element")
    block.add_new(2, "SQ", Sequence([item(PatientName="Jones^Mary")]))
    return ds


def report(study):
    """A structured report with a name and text in its content."""
    ds = media.instance("PID-0815", study, generate_uid(), 1)
    for name in ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel",
                 "PhotometricInterpretation", "PixelData", "ImageType", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
                 "FrameOfReferenceUID"):
        delattr(ds, name)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    ds.PatientName, ds.Modality, ds.Manufacturer = NAMES[0], "SR", "ACME"
    ds.ContentDate, ds.ContentTime, ds.CompletionFlag, ds.VerificationFlag = "20200301", "101112", "PARTIAL", "UNVERIFIED"
    ds.ReferencedPerformedProcedureStepSequence, ds.PerformedProcedureCodeSequence = Sequence(), Sequence()
    title = item(CodeValue="126000", CodingSchemeDesignator="DCM", CodeMeaning="Imaging Measurement Report")
    ds.ValueType, ds.ContinuityOfContent, ds.ConceptNameCodeSequence = "CONTAINER", "SEPARATE", Sequence([title])
    finding = item(CodeValue="121071", CodingSchemeDesignator="DCM", CodeMeaning="Finding")
    person = item(CodeValue="121008", CodingSchemeDesignator="DCM", CodeMeaning="Person Observer Name")
    ds.ContentSequence = Sequence([
        item(RelationshipType="CONTAINS", ValueType="TEXT", ConceptNameCodeSequence=Sequence([finding]), TextValue="Mary Jones is well"),
        item(RelationshipType="HAS OBS CONTEXT", ValueType="PNAME", ConceptNameCodeSequence=Sequence([person]), PersonName=NAMES[4])])
    return ds


class World(media.World):
    def __init__(self, folder):
        super().__init__(folder)
        self.archive, self.study, self.series, self.frame = self.folder / "archive", generate_uid(), generate_uid(), generate_uid()
        self.mary = [mary(number, self.study, self.series, self.frame) for number in (1, 2)] + [report(self.study)]
        self.files = []
        for i, ds in enumerate(self.mary):
            self.files.append(self.folder / f"mary{i}.dcm")
            ds.save_as(self.files[-1], write_like_original=False)
        self.take(self.disc, *self.files, archive=self.archive)

    def out(self, name, *words, status=0):
        done = self.run(self.archive, "export", *words, "-o", self.folder / name)
        equal(done.returncode, status, f"{words}: {done.stdout} {done.stderr}")
        return json_lines(done.stdout) if status == 0 else done.stderr


def identifying(ds):
    """All values of a data set that the table removes or replaces, as bytes that must not occur."""
    found = set()
    for element in ds.iterall():
        tag = element.tag
        names = element.VR == "PN" or tag in (0x00100020, 0x00080050, 0x00080080, 0x00081010, 0x00101040, 0x00081030, 0x0008103E, 0x0040A160)
        dates = element.VR in ("DA", "TM", "DT")
        uids = element.VR == "UI" and not str(element.value).startswith("1.2.840.10008.")
        if (names or dates or uids or tag.is_private) and element.VR != "SQ" and element.value:
            found.add(str(element.value).encode())
    return {value for value in found if len(value) > 3}


def walk(ds):
    for element in ds.iterall():
        assert not element.tag.is_private, element
        assert element.VR != "PN" or str(element.value) in ("", "REMOVED") or element.tag == 0x00100010, element


def errors(path):
    said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, errors="replace", timeout=60, check=False).stderr
    return {line for line in said.splitlines() if line.startswith("Error")}


def judge(world, folder, originals):
    forbidden = set().union(*(identifying(ds) for ds in originals))
    files = sorted((folder / "DICOM").rglob("IM*"))
    equal(len(files), len(originals), "files")
    for path in [*files, folder / "DICOMDIR"]:
        data = path.read_bytes()
        for value in forbidden:
            assert value not in data, f"{path}: {value} is still there"
    fileset = FileSet(folder / "DICOMDIR")
    equal(len(fileset), len(originals), "what the DICOMDIR names")
    for path in files:
        ds = pydicom.dcmread(path)
        walk(ds)
        equal((ds.PatientIdentityRemoved, ds.DeidentificationMethodCodeSequence[0].CodeValue), ("YES", "113100"), "told")
        equal(ds.file_meta.MediaStorageSOPInstanceUID, ds.SOPInstanceUID, "group 0002")
    old = set().union(*(errors(path) for path in world.files))
    equal(set().union(*(errors(path) for path in files)) - old, set(), "new errors of dciodvfy")
    return [pydicom.dcmread(path) for path in files]


def case_the_basic_profile_leaves_no_value_anywhere(world):
    rows = world.out("basic", "PatientID=PID-0815", "--deidentify", "basic", "--patient-name", "Trial^Seven", "--patient-id", "T7")
    equal((rows[-1]["instances"], rows[-1]["failed"]), (3, 0), "counts")
    seen = judge(world, world.folder / "basic", world.mary)
    equal({(str(ds.PatientName), ds.PatientID) for ds in seen}, {("Trial^Seven", "T7")}, "as given")
    equal({ds.StudyInstanceUID for ds in seen if "PixelData" in ds} | {ds.StudyInstanceUID for ds in seen}, {seen[0].StudyInstanceUID}, "one study")
    images = [ds for ds in seen if "PixelData" in ds]
    equal(sorted(ds.PixelData for ds in images), sorted(ds.PixelData for ds in world.mary[:2]), "pixels")
    equal(len({ds.FrameOfReferenceUID for ds in images}), 1, "one frame of reference")
    equal(images[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID, images[0].StudyInstanceUID, "the same UID becomes the same")
    equal(images[0].ProcedureCodeSequence[0].CodeMeaning, SAFE_MEANING, "codes stay")
    assert "identity was removed" in (world.folder / "basic/README.TXT").read_text()


def case_options_keep_what_they_name(world):
    world.out("dates", "PatientID=PID-0815", "--deidentify", "basic,retain-dates,clean-descriptors")
    for path in (world.folder / "dates/DICOM").rglob("IM*"):
        ds = pydicom.dcmread(path)
        equal((ds.LongitudinalTemporalInformationModified, ds.PatientBirthDate), ("UNMODIFIED", ""), "dates")
        if "PixelData" in ds:
            equal(ds.StudyDate, "20200301", "a date")
            equal(ds.StudyDescription, "Thorax of * *, born *", "descriptions without names")
    world.out("moved.zip", "PatientID=PID-0815", "--deidentify", "basic,modify-dates")
    world.out("uids.iso", "PatientID=PID-0815", "--deidentify", "basic,retain-uids")
    rows, result = world.take(world.folder / "uids.iso")
    equal((rows, media.counts(result)), ([], [3, 0, 0]), "read again")


def annotated(study, image):
    """A presentation state whose annotation has a name in it."""
    ds = media.instance("PID-0815", study, generate_uid(), 1)
    for name in ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel",
                 "PhotometricInterpretation", "PixelData", "ImageType", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
                 "FrameOfReferenceUID"):
        delattr(ds, name)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.11.1"
    ds.PatientName, ds.Modality, ds.ContentLabel, ds.ContentDescription, ds.ContentCreatorName = NAMES[0], "PR", "MARKS", "for Mary", NAMES[4]
    ds.PresentationCreationDate, ds.PresentationCreationTime = "20200301", "101112"
    text = item(BoundingBoxAnnotationUnits="PIXEL", UnformattedTextValue="nodule of Mary, 20200301", BoundingBoxTopLeftHandCorner=[1, 1],
                BoundingBoxBottomRightHandCorner=[9, 9], BoundingBoxTextHorizontalJustification="LEFT")
    line = item(GraphicAnnotationUnits="PIXEL", GraphicDimensions=2, NumberOfGraphicPoints=2, GraphicData=[1, 1, 9, 9], GraphicType="POLYLINE",
                GraphicFilled="N")
    named = item(ReferencedSOPClassUID=media.CT, ReferencedSOPInstanceUID=image)
    ds.ReferencedSeriesSequence = Sequence([item(SeriesInstanceUID="1.2.826.9", ReferencedImageSequence=Sequence([named]))])
    ds.GraphicAnnotationSequence = Sequence([item(GraphicLayer="LAYER", TextObjectSequence=Sequence([text]), GraphicObjectSequence=Sequence([line]))])
    ds.GraphicLayerSequence = Sequence([item(GraphicLayer="LAYER", GraphicLayerOrder=1)])
    return ds


def case_reports_and_annotations_keep_their_text_without_who_it_was(world):
    archive, state = world.folder / "told", world.folder / "state.dcm"
    annotated(world.study, world.mary[0].SOPInstanceUID).save_as(state, write_like_original=False)
    world.take(*world.files, state, archive=archive)
    done = world.run(archive, "export", "PatientID=PID-0815", "-o", world.folder / "told-out", "--deidentify",
                     "basic,clean-structured-content,clean-graphics")
    equal(done.returncode, 0, done.stderr)
    seen = {}
    for path in (world.folder / "told-out/DICOM").rglob("IM*"):
        data, ds = path.read_bytes(), pydicom.dcmread(path)
        for word in (b"Mary", b"Jones", b"Strange", b"20200301", b"PID-0815"):
            assert word not in data, (path, word)
        seen[str(ds.Modality)] = ds
        equal({code.CodeValue for code in ds.DeidentificationMethodCodeSequence}, {"113100", "113103", "113104"}, "what was done")
    texts = [content.TextValue for content in seen["SR"].ContentSequence if content.ValueType == "TEXT"]
    equal(texts, ["* * is well"], "the finding")
    equal([str(content.PersonName) for content in seen["SR"].ContentSequence if content.ValueType == "PNAME"], ["REMOVED"], "who found it")
    marks = seen["PR"].GraphicAnnotationSequence[0]
    equal(marks.TextObjectSequence[0].UnformattedTextValue, "nodule of *, *", "the text beside it")
    equal((marks.GraphicObjectSequence[0].GraphicType, marks.GraphicObjectSequence[0].GraphicData), ("POLYLINE", [1, 1, 9, 9]), "its line")
    reference = seen["PR"].ReferencedSeriesSequence[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID
    assert reference in {ds.SOPInstanceUID for ds in (pydicom.dcmread(p) for p in (world.folder / "told-out/DICOM").rglob("IM*"))}, reference
    new = set().union(*(errors(path) for path in (world.folder / "told-out/DICOM").rglob("IM*")))
    equal(new - set().union(*(errors(path) for path in (*world.files, state))), set(), "new errors of dciodvfy")


def case_options_that_would_change_pixels_are_refused(world):
    for word in ("clean-pixel-data", "clean-recognizable-visual-features"):
        said = world.out("pixels", "PatientID=PID-0815", "--deidentify", f"basic,{word}", status=2)
        assert "pixels are not changed" in said, said
    assert not (world.folder / "pixels").exists()


def case_several_patients_get_pseudonyms_and_never_one_name(world):
    words = ("PatientID=*", "--deidentify", "basic")
    assert "several patients" in world.out("one", *words, "--patient-id", "T7", status=1)
    assert not (world.folder / "one").exists()
    world.out("many", *words)
    seen = [pydicom.dcmread(path) for path in (world.folder / "many/DICOM").rglob("IM*")]
    equal((len({ds.PatientID for ds in seen}), len(seen)), (3, 10), "patients, instances")
    equal(export.partial(world.folder), [], "temporary names")


def case_what_cannot_be_cleaned_does_not_go(world):
    archive = world.folder / "special"
    burned, secondary, raw = (media.instance("X", "2.25.81", f"2.25.82.{n}", 1) for n in range(3))
    burned.BurnedInAnnotation = "YES"
    secondary.SOPClassUID = secondary.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    raw.SOPClassUID = raw.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.66"
    paths = []
    for ds in (burned, secondary, raw):
        paths.append(world.folder / f"special{len(paths)}.dcm")
        ds.save_as(paths[-1], write_like_original=False)
    world.take(*paths, archive=archive)
    done = world.run(archive, "export", "PatientID=X", "-o", world.folder / "careful", "--deidentify", "basic")
    rows = json_lines(done.stdout)
    equal((done.returncode, rows[-1]["instances"], rows[-1]["failed"], rows[-1]["left_out"]), (1, 1, 1, 1), done.stdout)
    equal(sorted(row["result"] for row in rows[:-1]), ["failed", "left-out", "warning", "written"], done.stdout)
    assert burned.SOPInstanceUID in done.stdout and "Burned In" in done.stdout
    done = world.run(archive, "export", "PatientID=X", "-o", world.folder / "bold", "--deidentify", "basic,allow-burned-in")
    equal((done.returncode, json_lines(done.stdout)[-1]["instances"]), (0, 2), done.stdout)
    done = world.run(archive, "export", "PatientID=X", "-o", world.folder / "wrong", "--deidentify", "nothing")
    equal(done.returncode, 2, done.stderr)


def case_the_shared_instances_keep_their_pixels_and_lose_their_names(world):
    data = shared_data()
    source = data and data / "dicom/dicomdir/dicomdirtests"
    if not source or not source.is_dir():
        print("     (no shared data)")
        return
    archive = world.folder / "wide"
    world.take(source / "DICOMDIR", archive=archive)
    originals = [pydicom.dcmread(path) for path in archive.glob("objects/**/*.dcm")]
    done = world.run(archive, "export", "PatientID=*", "-o", world.folder / "clean", "--deidentify", "basic", "--icons")
    rows = json_lines(done.stdout)
    equal((done.returncode, rows[-1]["instances"]), (0, len(originals)), done.stderr)
    seen = [pydicom.dcmread(path) for path in (world.folder / "clean/DICOM").rglob("IM*")]
    equal(sorted(ds.PixelData for ds in seen), sorted(ds.PixelData for ds in originals), "pixels")
    names = {part.encode() for ds in originals for part in str(ds.PatientName).split("^") if len(part) > 3}
    for path in (world.folder / "clean").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not [name for name in names if name in data], path


def main():
    with work_folder("media-deidentify") as folder:
        return cases.run(globals(), World(pathlib.Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
