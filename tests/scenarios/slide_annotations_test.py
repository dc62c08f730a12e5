#!/usr/bin/python3
"""What was drawn on a slide in ImageScope: kept, given back, and read by pydicom as Microscopy Bulk Simple Annotations; and annotations, segmentations and
reports that others store of a slide are found with it."""
import pathlib
import struct
import subprocess
import sys

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

import cases
import slides
from cases import equal
from node import BIN, Node, json_lines, work_folder

BULK, RAW = "1.2.840.10008.5.1.4.1.1.91.1", "1.2.840.10008.5.1.4.1.1.66"
SEGMENTATION, REPORT = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.88.34"
XML = """<?xml version="1.0" encoding="UTF-8"?>
<Annotations MicronsPerPixel="0.499000">
 <Annotation Id="1" Name="Tumour" ReadOnly="0" Type="4" LineColor="65280" Visible="1" Selected="1">
  <Regions><RegionAttributeHeaders/>
   <Region Id="1" Type="0" Zoom="0.05" Text=""><Vertices><Vertex X="100.5" Y="200" Z="0"/><Vertex X="300" Y="200" Z="0"/><Vertex X="300" Y="420" Z="0"/></Vertices></Region>
   <Region Id="2" Type="1" Zoom="0.05" Text="control"><Vertices><Vertex X="10" Y="20"/><Vertex X="30" Y="20"/><Vertex X="30" Y="50"/><Vertex X="10" Y="50"/></Vertices></Region>
   <Region Id="3" Type="2" Text=""><Vertices><Vertex X="500" Y="500"/><Vertex X="700" Y="600"/></Vertices></Region>
   <Region Id="4" Type="3" Text="look"><Vertices><Vertex X="1" Y="2"/><Vertex X="90" Y="80"/></Vertices></Region>
   <Region Id="5" Type="11" Text=""><Vertices><Vertex X="1" Y="2"/><Vertex X="90" Y="80"/></Vertices></Region>
  </Regions>
 </Annotation>
</Annotations>
"""


class World:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.slide = slides.pyramid(self.folder / "made.svs")
        (self.folder / "made.xml").write_text(XML)


def floats(raw):
    return list(struct.unpack("<%df" % (len(raw) // 4), raw))


def check(ds, level):
    equal((ds.SOPClassUID, ds.Modality, ds.AnnotationCoordinateType, ds.PixelOriginInterpretation), (BULK, "ANN", "2D", "VOLUME"))
    equal(ds.ReferencedImageSequence[0].ReferencedSOPInstanceUID, level.SOPInstanceUID)
    equal((ds.StudyInstanceUID, ds.FrameOfReferenceUID), (level.StudyInstanceUID, level.FrameOfReferenceUID))
    groups = {g.GraphicType: g for g in ds.AnnotationGroupSequence}
    equal(sorted(groups), ["ELLIPSE", "POLYGON", "POLYLINE", "RECTANGLE"])
    equal({g.AnnotationGroupLabel for g in groups.values()}, {"Tumour", "control", "look"})
    equal(floats(groups["POLYGON"].PointCoordinatesData), [100.5, 200, 300, 200, 300, 420])
    equal(struct.unpack("<I", groups["POLYGON"].LongPrimitivePointIndexList), (1,))
    equal(floats(groups["RECTANGLE"].PointCoordinatesData), [10, 20, 30, 20, 30, 50, 10, 50])
    equal(floats(groups["ELLIPSE"].PointCoordinatesData), [500, 550, 700, 550, 600, 500, 600, 600])
    equal(groups["POLYGON"].NumberOfAnnotations, 1)
    lab = groups["POLYGON"].RecommendedDisplayCIELabValue   # pure green: L 87.8, a -79.3, b 81.0
    for value, wanted in zip(lab, (87.8 / 100 * 65535, (-79.3 + 128) / 255 * 65535, (81.0 + 128) / 255 * 65535)):
        if abs(value - wanted) > 200:
            raise AssertionError(f"{list(lab)}: {wanted:.0f} wanted")


def case_shapes_become_bulk_annotations_that_pydicom_reads(world):
    out = world.folder / "dicom"
    done = subprocess.run([BIN / "vitrine", "slide", "convert", world.slide, "-o", out], capture_output=True, text=True, check=False)
    equal(done.returncode, 0, done.stderr)
    if "1 of 5 annotations are kept in made.xml only: DICOM has no such shape" not in done.stdout:
        raise AssertionError(done.stdout)
    check(pydicom.dcmread(out / "annotations.dcm"), pydicom.dcmread(out / "level-0.dcm"))
    for name in ("annotations", "annotation-file"):
        said = subprocess.run(["dciodvfy", "-new", out / f"{name}.dcm"], capture_output=True, text=True, errors="replace", check=False)
        # The one of 2022 complains of Common Z Coordinate Value in every 2D group, where there is none.
        errors = [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error") and "CommonZCoordinateValue" not in line]
        equal(errors, [], name)
    back = world.folder / "back.svs"
    done = subprocess.run([BIN / "vitrine", "slide", "restore", out, "-o", back], capture_output=True, text=True, check=False)
    equal(done.returncode, 0, done.stderr)
    equal((world.folder / "back.xml").read_text(), XML)


def case_the_archive_gives_the_file_back_beside_the_slide(world):
    with Node(world.folder / "node") as node:
        rows = json_lines(node.cli("--json", "import", world.slide).stdout)
        equal((rows[0]["annotations"], rows[0]["verified"], rows[-1]["stored"]), (4, True, 9))
        if "4 annotations became DICOM" not in rows[0]["text"] or "it may be deleted" not in rows[0]["text"]:
            raise AssertionError(rows[0]["text"])
        again = json_lines(node.cli("--json", "import", world.slide).stdout)
        equal((again[0]["result"], again[-1]["duplicates"]), ("duplicate", 9))
        newer = XML.replace("Tumour", "Stroma")
        (world.folder / "made.xml").write_text(newer)
        third = json_lines(node.cli("--json", "import", world.slide).stdout)
        equal((third[-1]["stored"], third[-1]["duplicates"]), (2, 7), "a changed file is a further one")
        done = node.cli("--json", "slide", "restore", f"StudyInstanceUID={rows[0]['StudyInstanceUID']}", "-o", world.folder / "archive.svs")
        equal(done.returncode, 0, done.stderr)
        equal((world.folder / "archive.xml").read_text(), newer)
        dropped = json_lines(node.cli("--json", "import", "--label", "drop", world.slide).stdout)
        equal(dropped[0]["annotations"], 0)
        if "left out with the label" not in dropped[0]["text"]:
            raise AssertionError(dropped[0]["text"])


def case_a_file_that_is_no_annotation_is_kept_and_told(world):
    slide = slides.pyramid(world.folder / "other.svs", width=900, height=700, levels=1)
    (world.folder / "other.xml").write_text("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>")
    with Node(world.folder / "node") as node:
        row = json_lines(node.cli("--json", "import", slide).stdout)[0]
        equal((row["result"], row["annotations"], row["verified"]), ("stored", 0, True))
        if "kept as it is: other.xml: it declares a document type" not in row["text"]:
            raise AssertionError(row["text"])


def stored_of(slide, sop_class, modality):
    """An instance of another system that refers to the slide's level."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = sop_class
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.PatientID, ds.PatientName, ds.StudyInstanceUID, ds.SeriesInstanceUID = slide.PatientID, slide.PatientName, slide.StudyInstanceUID, generate_uid()
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber, ds.FrameOfReferenceUID = modality, 9, 1, slide.FrameOfReferenceUID
    referred = Dataset()
    referred.ReferencedSOPClassUID, referred.ReferencedSOPInstanceUID = slide.SOPClassUID, slide.SOPInstanceUID
    ds.ReferencedImageSequence = [referred]
    ds.is_little_endian, ds.is_implicit_VR = True, False
    return ds


def case_what_others_store_of_a_slide_is_found_with_it(world):
    level = pydicom.dcmread(world.folder / "dicom/level-0.dcm", stop_before_pixels=True)
    files = world.folder / "others"
    files.mkdir()
    for sop_class, modality in ((BULK, "ANN"), (SEGMENTATION, "SEG"), (REPORT, "SR")):
        stored_of(level, sop_class, modality).save_as(files / f"{modality}.dcm", write_like_original=False)
    with Node(world.folder / "node") as node:
        sent = subprocess.run([BIN / "vitrine", "send", f"VITRINE@127.0.0.1:{node.port}", files], capture_output=True, text=True, check=False)
        equal(sent.returncode, 0, sent.stderr)
        rows = json_lines(node.cli("--json", "find", f"VITRINE@127.0.0.1:{node.port}", "--level", "series", f"StudyInstanceUID={level.StudyInstanceUID}",
                                   "Modality").stdout)
        found = {row["00080060"]["Value"][0] for row in rows}
        if not found >= {"SM", "ANN", "SEG", "SR"}:
            raise AssertionError(found)


def main():
    with work_folder("slide_annotations") as folder:
        return cases.run(globals(), World(folder))


if __name__ == "__main__":
    sys.exit(main())
