#!/usr/bin/python3
"""What changes the archive by DICOMweb: instances as DICOM JSON with bulk data (STOW-RS), judged by pydicom; studies, series and
instances deleted; and what of it stands in the audit trail."""
import base64
import io
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pydicom
import pydicom.encaps
import rawdicom as raw
from audit_test import Trail
from cases import equal, run, until
from dicomweb_test import AS_STORED, ROOT, World, multipart, parts_of, value
from node import work_folder
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

JSON = "application/dicom+json"
OCTETS = "application/octet-stream"


def body_of(metadata, bulks=()):
    """bulks: (content type, location, bytes)"""
    def part(kind, data, location=None):
        where = f"Content-Location: {location}\r\n" if location else ""
        return f"--xyz\r\nContent-Type: {kind}\r\n{where}\r\n".encode() + data + b"\r\n"
    text = metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode()
    return part(JSON, text) + b"".join(part(kind, data, where) for kind, where, data in bulks) + b"--xyz--\r\n"


def store(world, metadata, bulks=(), path="/studies"):
    """(status, stored SOP UIDs, [(failure reason, comment)], other failures)"""
    status, _, answer = world.web(path, "POST", body_of(metadata, bulks), Content_Type=f'multipart/related; type="{JSON}"; boundary=xyz')
    done = json.loads(answer)
    if "error" in done:
        return status, [], [], done["error"]
    return (status, [value(i, "00081155") for i in done.get("00081199", {}).get("Value", [])],
            [(value(i, "00081197"), value(i, "00000902")) for i in done.get("00081198", {}).get("Value", [])],
            len(done.get("0008119A", {}).get("Value", [])))


def sample(number, study="77"):
    """A data set with a value of every VR, names in three scripts, private ones and nested ones."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = pydicom.uid.SecondaryCaptureImageStorage, f"{ROOT}.{study}.1.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{ROOT}.{study}", f"{ROOT}.{study}.1"
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName, ds.PatientID = "Yamada^Tarou=山田^太郎=やまだ^たろう", "JSON \"1\""
    ds.StudyDate, ds.StudyTime, ds.AcquisitionDateTime, ds.Modality = "20240229", "235959.5", "20240229235959.5", "OT"
    ds.ImageType, ds.InstanceNumber, ds.PatientAge = ["ORIGINAL", "PRIMARY", "", "AXIAL"], number, "042Y"
    ds.PatientComments, ds.InstitutionAddress = "a \\ b\r\n\tç", "Straße 1"
    ds.WindowCenter, ds.WindowWidth, ds.PixelSpacing = ["40.5", "-600.25"], ["400.5", "1500.5"], ["0.48828125", "0.48828125"]
    ds.RecommendedDisplayFrameRateInFloat, ds.RealWorldValueSlope = 29.5, [1.0 / 3]
    ds.FrameIncrementPointer = 0x00181063
    ds.add_new(0x00280106, "SS", -5)
    ds.URNCodeValue, ds.LongCodeValue = "http://example/a?b=c", "x" * 3000
    inner = Dataset()
    inner.ScheduledProcedureStepID, inner.ScheduledProcedureStepDescription = "S1", "Schädel"
    inner.ScheduledProtocolCodeSequence = Sequence([Dataset()])
    inner.ScheduledProtocolCodeSequence[0].CodeValue = "C1"
    ds.RequestAttributesSequence = Sequence([inner, Dataset()])
    ds.add_new(0x00090010, "LO", "VITRINE TEST")
    ds.add_new(0x00091001, "OB", bytes(range(256)) * 9)
    ds.add_new(0x00091002, "UN", b"\1\2\3\4")
    ds.Rows = ds.Columns = 16
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    return ds


def with_pixels(ds, bits=16):
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = bits, bits, bits - 1
    ds.add_new(0x7FE00010, "OW" if bits == 16 else "OB", bytes(i % 251 for i in range(16 * 16 * bits // 8)))
    return ds


def fetched(world, ds):
    """As it is stored: (transfer syntax, data set)."""
    status, headers, body = world.web(f"/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}", Accept=AS_STORED)
    equal(status, 200, body[:300])
    (_, data), = parts_of(headers, body)
    got = pydicom.dcmread(io.BytesIO(data))
    return str(got.file_meta.TransferSyntaxUID), got


def same(got, sent, *but):
    for element in sent:
        if element.keyword not in but:
            equal((element.tag, got[element.tag].VR, got[element.tag].value), (element.tag, element.VR, element.value))
    equal([e.tag for e in got if e.tag not in sent], [])


def count_lengths(ds):
    """Sequences and items are written with their lengths, whatever they came with."""
    ds.is_undefined_length_sequence_item = False
    for element in ds:
        if element.VR == "SQ":
            element.is_undefined_length = element.value.is_undefined_length = False
            for item in element.value:
                count_lengths(item)


# ---- DICOM JSON ----

def case_what_pydicom_writes_as_json_is_stored_as_it_writes_it_itself(world):
    ds = with_pixels(sample(1))
    bulks = []

    def bulk(element):
        bulks.append((OCTETS, f"bulk/{len(bulks)}", element.value))
        return bulks[-1][1]
    metadata = ds.to_json_dict(bulk_data_threshold=400, bulk_data_element_handler=bulk)
    equal(len(bulks), 2, "the private value and the pixels")
    equal(store(world, [metadata], bulks), (200, [ds.SOPInstanceUID], [], 0))
    syntax, got = fetched(world, ds)
    same(got, ds)
    ours, theirs = io.BytesIO(), io.BytesIO()
    for out, data_set in ((ours, got), (theirs, ds)):
        count_lengths(data_set)
        pydicom.filewriter.write_dataset(stream_of(out), data_set)
    a, b = ours.getvalue(), theirs.getvalue()
    at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), None)
    equal((syntax, at, len(a)), (raw.EXPLICIT, None, len(b)), f"byte for byte: {a[at - 40:at + 40] if at else b''!r} is not {b[at - 40:at + 40] if at else b''!r}")
    item, = json.loads(world.web(f"/studies/{ds.StudyInstanceUID}/metadata")[2])
    equal(item["00100010"]["Value"][0]["Ideographic"], "山田^太郎")


def stream_of(out):
    stream = pydicom.filebase.DicomFileLike(out)
    stream.is_little_endian, stream.is_implicit_VR = True, False
    return stream


def case_a_study_read_as_json_can_be_stored_under_another_uid(world):
    """Our own metadata and bulk data, as any client of DICOMweb would copy a study."""
    first = with_pixels(sample(1))
    base = f"/studies/{first.StudyInstanceUID}/series/{first.SeriesInstanceUID}/instances/{first.SOPInstanceUID}"
    item, = json.loads(world.web(base + "/metadata")[2])
    bulks = []

    def follow(members):
        for member in members.values():
            if "BulkDataURI" in member:
                where = member["BulkDataURI"]
                status, _, data = world.ask("/dicom-web" + where.partition("/dicom-web")[2])
                equal(status, 200, where)
                bulks.append((OCTETS, where, data))
            for inner in member.get("Value", []) if member["vr"] == "SQ" else []:
                follow(inner)
    follow(item)
    del item["00081190"], item["00083002"]   # where and how we serve it
    for tag, uid in (("0020000D", f"{ROOT}.78"), ("0020000E", f"{ROOT}.78.1"), ("00080018", f"{ROOT}.78.1.1")):
        item[tag]["Value"] = [uid]
    equal(store(world, [item], bulks)[:2], (200, [f"{ROOT}.78.1.1"]))
    copy = with_pixels(sample(1, "78"))
    same(fetched(world, copy)[1], copy)


def case_what_dcmtk_writes_as_json_is_stored(world):
    for number, kind in enumerate(("ct", "mr", "multi"), 1):
        path = world.made[kind][0]
        made = subprocess.run(["dcm2json", str(path)], capture_output=True, timeout=60, check=True).stdout
        item, ds = json.loads(made), pydicom.dcmread(path)
        item = item[0] if isinstance(item, list) else item
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = f"{ROOT}.76", f"{ROOT}.76.{number}", f"{ROOT}.76.{number}.1"
        for tag in ("0020000D", "0020000E", "00080018"):
            item[tag]["Value"] = [str(ds[int(tag, 16)].value)]
        equal(store(world, [item]), (200, [ds.SOPInstanceUID], [], 0), kind)
        syntax, got = fetched(world, ds)
        equal((syntax, got.PixelData == ds.PixelData), (raw.EXPLICIT, True), kind)
        same(got, ds, "SpecificCharacterSet")


def jpeg(shade):
    out = io.BytesIO()
    Image.new("L", (16, 16), shade).save(out, "JPEG", quality=95)
    return out.getvalue()


def encoded(number, frames):
    ds = sample(number)
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.NumberOfFrames = 8, 8, 7, frames
    metadata = ds.to_json_dict()
    metadata["7FE00010"] = {"vr": "OB", "BulkDataURI": f"pixels/{number}"}
    return ds, metadata


def case_compressed_frames_come_as_parts_of_their_media_type(world):
    frames = [jpeg(40 * k) for k in (1, 2, 3)]
    for number, places in ((11, ["pixels/11"] * 3), (12, [f"pixels/12/frames/{n}" for n in (1, 2, 3)])):
        ds, metadata = encoded(number, 3)
        equal(store(world, [metadata], [("image/jpeg", where, data) for where, data in zip(places, frames)]), (200, [ds.SOPInstanceUID], [], 0))
        syntax, got = fetched(world, ds)
        found = list(pydicom.encaps.generate_pixel_data_frame(got.PixelData, 3))
        equal((syntax, [f[:len(g)] == g and len(f) - len(g) < 2 for f, g in zip(found, frames)]), (raw.JPEG_BASELINE, [True] * 3))
        equal(len(pydicom.encaps.get_frame_offsets(stream_of(io.BytesIO(b"\xfe\xff\x00\xe0" + got.PixelData[4:])))[1]), 3, "an offset table")
        base = f"/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}"
        equal(world.web(base + "/frames/2", Accept="image/jpeg")[2][:len(frames[1])], frames[1])
    ds, metadata = encoded(13, 1)
    named = f"{OCTETS}; transfer-syntax=1.2.840.10008.1.2.4.50"
    equal(store(world, [metadata], [(named, "pixels/13", frames[0])])[0], 200, "the part names the syntax")
    equal(fetched(world, ds)[0], raw.JPEG_BASELINE)
    ds, metadata = encoded(14, 1)
    metadata["00020010"] = {"vr": "UI", "Value": ["1.2.840.10008.1.2.4.80"]}
    equal(store(world, [metadata], [(OCTETS, "pixels/14", b"\xff\xd8\xff\xf7")])[0], 200, "the metadata name it")
    equal(fetched(world, ds)[0], "1.2.840.10008.1.2.4.80")


def case_a_photograph_needs_no_attributes_of_its_pixels(world):
    for number, mode, photometric, samples_ in ((15, "L", "MONOCHROME2", 1), (16, "RGB", "YBR_FULL_422", 3)):
        picture = Image.new(mode, (40, 24), 90 if mode == "L" else (200, 90, 30))
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=92)
        ds = sample(number)
        for keyword in ("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "PixelRepresentation"):
            del ds[keyword]
        metadata = dict(ds.to_json_dict(), **{"7FE00010": {"vr": "OB", "BulkDataURI": "photo"}})
        equal(store(world, [metadata], [("image/jpeg", "photo", out.getvalue())]), (200, [ds.SOPInstanceUID], [], 0))
        syntax, got = fetched(world, ds)
        equal((syntax, got.Rows, got.Columns, got.SamplesPerPixel, got.PhotometricInterpretation, got.BitsAllocated, got.HighBit, got.PixelRepresentation,
               got.LossyImageCompression), (raw.JPEG_BASELINE, 24, 40, samples_, photometric, 8, 7, 0, "01"))
        base = f"/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}"
        shown = Image.open(io.BytesIO(world.web(base + "/rendered", Accept="image/png")[2]))
        near = max(abs(a - b) for a, b in zip(shown.convert("RGB").getpixel((20, 12)), picture.convert("RGB").getpixel((20, 12)))) < 6
        equal((shown.size, near or mode == "L"), ((40, 24), True), "grays go through the window")


def case_each_instance_has_its_own_answer(world):
    good = [with_pixels(sample(n), 8).to_json_dict() for n in (21, 22)]
    twice = json.dumps(good[0]).encode()[:-1] + b',"00100020":{"vr":"LO"}}'
    lost = encoded(23, 1)[1]
    short = encoded(24, 2)[1]
    strange = encoded(25, 1)[1]
    wrong_vr = dict(with_pixels(sample(26), 8).to_json_dict(), **{"00280010": {"vr": "US", "Value": [70000]}})
    other = with_pixels(sample(27, "79"), 8).to_json_dict()
    bulks = [("image/jpeg", "pixels/24", jpeg(1)), ("image/webp", "pixels/25", b"RIFF")]
    texts = [json.dumps(i).encode() for i in (good[0], lost, short, strange, wrong_vr, other, good[1])]
    status, stored, failed, others = store(world, b"[" + b",".join(texts) + b"]", bulks, f"/studies/{ROOT}.77")
    equal((status, stored, others), (202, [f"{ROOT}.77.1.21", f"{ROOT}.77.1.22"], 0))
    equal([code for code, _ in failed], [0xC000, 0xC000, 0xC122, 0xC000, 0xC409])
    for (_, comment), word in zip(failed, ("Content-Location", "1 parts for 2", "image/webp", "00280010", "another study")):
        assert word in comment, (word, comment)
    status, stored, failed, others = store(world, b"[" + twice + b"]")
    equal((status, stored, [code for code, _ in failed]), (409, [], [0xC000]))
    assert "twice" in failed[0][1], failed
    equal(store(world, b"[{]")[:2] + (store(world, b"[{]")[3],), (409, [], 1), "no JSON")
    equal(store(world, [])[:2], (200, []), "nothing was asked")


def case_json_that_is_too_much_is_refused(world):
    nested = b"[" + b'{"00400275":{"vr":"SQ","Value":[' * 40 + b"]}}" * 40 + b"]"
    equal(store(world, nested)[2][0][0], 0xC006)
    equal(store(world, b"[" * 100000)[0], 413)
    equal(store(world, b"[" + b"0," * 5000000 + b"0]")[0], 413, "values")
    equal(store(world, b'["' + b"x" * (65 << 20) + b'"]')[0], 413, "bytes")
    for kind in ('multipart/related; type="application/dicom+xml"; boundary=xyz', 'multipart/related; type="text/html"; boundary=xyz', JSON):
        equal(world.web("/studies", "POST", body_of([]), Content_Type=kind)[0], 415, kind)
    done = world.web("/studies", "POST", *[body_of([sample(99).to_json_dict()])], Content_Type='multipart/related; type="application/dicom"; boundary=xyz')
    equal(done[0], 409, "the body says it has files")


# ---- delete ----

def put(world, study, series, count):
    parts = []
    for i in range(1, count + 1):
        ds = with_pixels(sample(i), 8)
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = f"{ROOT}.{study}", f"{ROOT}.{study}.{series}", f"{ROOT}.{study}.{series}.{i}"
        ds.file_meta = pydicom.dataset.FileMetaDataset()
        ds.file_meta.TransferSyntaxUID, ds.file_meta.MediaStorageSOPClassUID = raw.EXPLICIT, ds.SOPClassUID
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.is_little_endian, ds.is_implicit_VR = True, False
        out = io.BytesIO()
        pydicom.dcmwrite(out, ds, write_like_original=False)
        parts.append(("application/dicom", out.getvalue()))
    body, kind = multipart(parts)
    equal(world.web("/studies", "POST", body, Content_Type=kind)[0], 200)


def counts(world, study):
    """(series, instances of the study, {series: instances}) as a search says."""
    found = world.search(f"/studies?StudyInstanceUID={ROOT}.{study}")
    if not found:
        return None
    series = world.search(f"/studies/{ROOT}.{study}/series")
    return (value(found[0], "00201206"), value(found[0], "00201208"),
            {value(s, "0020000E").rpartition(".")[2]: value(s, "00201209") for s in series})


def case_a_series_and_an_instance_go_to_the_trash_and_come_back(world):
    put(world, 81, 1, 3)
    put(world, 81, 2, 2)
    study = f"/studies/{ROOT}.81"
    equal(counts(world, 81), (2, 5, {"1": 3, "2": 2}))
    instance = f"{study}/series/{ROOT}.81.1/instances/{ROOT}.81.1.2"
    equal(world.web(instance + "/frames/1", Accept="*/*")[0], 200, "it is in the cache of open ones")
    equal(world.web(instance + "?reason=blurred", "DELETE")[::2], (204, b""))
    equal(counts(world, 81), (2, 4, {"1": 2, "2": 2}), "at once")
    for place in (instance, instance + "/frames/1", instance + "/metadata", instance + "/file"):
        equal(world.web(place, Accept="*/*")[0], 404, place)
    equal(world.web(instance, "DELETE")[0], 404)
    equal(world.web(f"{study}/series/{ROOT}.81.2", "DELETE")[0], 204)
    equal(counts(world, 81), (1, 2, {"1": 2}))
    equal(len(json.loads(world.web(study + "/metadata")[2])), 2)
    trash = [row for row in json.loads(world.ask("/api/trash")[2])["rows"] if row["subject"] == f"{ROOT}.81"]
    equal([(row["part"], row["instances"], row["reason"]) for row in trash], [(f"{ROOT}.81.1.2", 1, "blurred"), (f"{ROOT}.81.2", 2, "")])
    for what in (f"{ROOT}.81.2", f"{ROOT}.81.1.2"):
        done = world.node.cli("study", "restore", what)
        equal(done.returncode, 0, done.stderr)
    equal(counts(world, 81), (2, 5, {"1": 3, "2": 2}))
    equal(world.web(instance + "/frames/1", Accept="*/*")[0], 200)
    done = world.node.cli("study", "delete", f"{ROOT}.81", f"{ROOT}.81.1", f"{ROOT}.81.1.1")
    equal((done.returncode, counts(world, 81)), (0, (2, 4, {"1": 2, "2": 2})), done.stderr)
    equal(world.node.cli("verify").returncode, 0)


def case_the_last_series_takes_the_study_with_it(world):
    put(world, 82, 1, 2)
    equal(world.web(f"/studies/{ROOT}.82/series/{ROOT}.82.1", "DELETE")[0], 204)
    equal(counts(world, 82), None)
    equal(world.web(f"/studies/{ROOT}.82/metadata")[0], 404)
    equal(world.node.cli("study", "restore", f"{ROOT}.82").returncode, 0)
    equal(counts(world, 82), (1, 2, {"1": 2}))


def case_only_what_is_there_is_deleted(world):
    put(world, 83, 1, 2)
    study = f"/studies/{ROOT}.83"
    for place, status in ((f"{study}/series/{ROOT}.81.2", 404), (f"{study}/series/{ROOT}.83.1/instances/{ROOT}.81.2.1", 404), (f"{study}/series/x", 400),
                          (f"{study}/series/{ROOT}.83.1/instances/..", 404), (f"/studies/{ROOT}.99999/series/{ROOT}.83.1", 404),
                          (f"{study}/series/{ROOT}.83.1?reason=" + "x" * 300, 400)):
        equal(world.web(place, "DELETE")[0], status, place)
    equal(world.web(f"{study}/series/{ROOT}.83.1", "DELETE", Origin="http://evil.example")[0], 403)
    equal(world.node.cli("study", "hold", f"{ROOT}.83").returncode, 0)
    status, _, body = world.web(f"{study}/series/{ROOT}.83.1?reason=mistake", "DELETE")
    equal((status, "held" in json.loads(body)["error"]), (409, True), body)
    equal(world.node.cli("study", "release", f"{ROOT}.83").returncode, 0)
    equal(counts(world, 83), (1, 2, {"1": 2}))


# ---- the audit trail ----

def case_who_searched_looked_fetched_stored_and_deleted_is_in_the_audit_trail(world):
    trail = Trail(world.folder / "audit.xml")
    study, begun = f"{ROOT}.84", len(trail.messages())
    put(world, 84, 1, 3)
    instance = f"/studies/{study}/series/{study}.1/instances/{study}.1.1"
    for _ in range(3):
        for place in (instance + "/frames/1", instance + "/rendered", f"/studies/{study}/metadata", f"/studies/{study}", instance + "/file"):
            equal(world.web(place, Accept="*/*")[0], 200, place)
        equal(world.web(f"/studies?StudyInstanceUID={study}&PatientName=Yama*")[0], 200)
    equal(world.web(instance, "DELETE")[0], 204)
    equal(world.web(f"/studies/{study}/series/1.2", "DELETE")[0], 404)

    def of_study(event):
        return [m for m in trail.messages()[begun:] if m.event == event and m.id("Study Instance UID") == study]
    until(lambda: len(of_study("110105")) == 2, "both deletions")
    gone, failed = of_study("110105")
    equal((gone.outcome, gone.id("Patient Number"), failed.outcome), ("0", 'JSON "1"', "4"))
    came, *went = of_study("110104")
    equal((came.users, came.hosts[0], came.id("Patient Number")), (["anonymous", "VITRINE"], "127.0.0.1", 'JSON "1"'))
    sop = came.objects["Study Instance UID"].find("ParticipantObjectDescription/SOPClass")
    equal((sop.get("NumberOfInstances"), len(went)), ("3", 2), "the study and the file, once each")
    equal(len(of_study("110103")), 1, "looked at, once in a while")
    asked = [base64.b64decode(m.objects["SOP Class UID"].findtext("ParticipantObjectQuery")).decode() for m in trail.messages()[begun:]
             if m.event == "110112"]
    equal([q for q in asked if study in q], [f"/dicom-web/studies?StudyInstanceUID={study}&PatientName=Yama*"])


if __name__ == "__main__":
    with work_folder("dicomweb-store") as work:
        scene = World(work, ["audit.target=file:" + work + "/audit.xml"])
        with scene.node:
            failed = run(globals(), scene)
            ended = scene.node.stop()
            if ended:   # a sanitizer has something to say
                print("\n".join(scene.node.lines[-60:]))
            sys.exit(failed or ended)
