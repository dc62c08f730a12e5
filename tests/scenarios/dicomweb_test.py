#!/usr/bin/python3
"""DICOMweb with nothing but the standard library's HTTP client; pydicom makes what is stored and judges what comes back."""
import email.parser
import email.policy
import gzip
import http.client
import io
import json
import os
import pathlib
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import numpy
import pydicom
import rawdicom as raw
import samples
from cases import equal, run
from node import Node, work_folder

ROOT = samples.ROOT
AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
OCTETS = "multipart/related; type=application/octet-stream; transfer-syntax=*"


class World:
    def __init__(self, folder, options=()):
        self.folder = pathlib.Path(folder)
        self.made = samples.make(self.folder)
        self.node = Node(self.folder / "archive", ["http.origins=https://viewer.example, http://localhost:3000", *options])

    def files(self):
        return [path for paths in self.made.values() for path in paths]

    def ask(self, path, method="GET", body=None, **headers):
        """(status, headers, body, gzip undone)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.node.http_port(), timeout=60)
        connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if answer.headers.get("Content-Encoding") == "gzip":
            data = gzip.decompress(data)
        return answer.status, answer.headers, data

    def web(self, path, *more, **headers):
        return self.ask("/dicom-web" + path, *more, **headers)

    def search(self, path):
        status, _, body = self.web(path)
        return json.loads(body) if status == 200 else [] if status == 204 else status


def instance_path(path):
    ds = pydicom.dcmread(path, stop_before_pixels=True)
    return f"/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}"


def parts_of(headers, body):
    """[(content type, bytes)]"""
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(
        b"Content-Type: " + headers["Content-Type"].encode() + b"\r\n\r\n" + body)
    boundary = message.get_boundary().encode()
    found = []
    for piece in body.split(b"--" + boundary)[1:-1]:
        head, _, data = piece[2:].partition(b"\r\n\r\n")
        found.append((head.decode().split("\r\n")[0].split(": ", 1)[1], data[:-2]))
    return found


def multipart(parts, kind="application/dicom"):
    body = b"".join(b"--xyz\r\nContent-Type: " + t.encode() + b"\r\n\r\n" + data + b"\r\n" for t, data in parts)
    return body + b"--xyz--\r\n", f'multipart/related; type="{kind}"; boundary=xyz'


def value(item, tag):
    return item[tag].get("Value", [None])[0]


# ---- store ----

def case_stow_stores_every_sample_byte_for_byte(world):
    body, kind = multipart([("application/dicom", p.read_bytes()) for p in world.files()])
    status, headers, answer = world.web("/studies", "POST", body, Content_Type=kind)
    equal((status, headers["Content-Type"]), (200, "application/dicom+json"), answer[:500])
    done = json.loads(answer)
    equal(len(done["00081199"]["Value"]), len(world.files()))
    for item in done["00081199"]["Value"]:
        where = value(item, "00081190")
        equal((where.endswith("/instances/" + value(item, "00081155")), world.ask("/dicom-web" + where.partition("/dicom-web")[2])[0]), (True, 200), where)
    equal("00081198" in done, False)
    for path in world.files():
        status, headers, got = world.web(instance_path(path), Accept=AS_STORED)
        equal(status, 200)
        (part_type, data), = parts_of(headers, got)
        sent, came = raw.split_part10(path.read_bytes()), raw.split_part10(data)
        equal(came[0], sent[0], "transfer syntax")
        equal(part_type, f"application/dicom;transfer-syntax={sent[0]}")
        equal(came[3] == sent[3], True, f"{path.name}: the bytes of the data set")


def case_stow_says_what_it_did_not_take(world):
    other = pydicom.dcmread(world.made["ct"][0])
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.5"
    plain = io.BytesIO()
    pydicom.dcmwrite(plain, other, write_like_original=False)
    body, kind = multipart([("application/dicom", plain.getvalue()), ("text/plain", b"no instance"),
                            ("application/dicom", world.made["mr"][0].read_bytes())])
    status, _, answer = world.web(f"/studies/{other.StudyInstanceUID}", "POST", body, Content_Type=kind)
    done = json.loads(answer)
    equal(status, 202, answer)
    equal([value(i, "00081155") for i in done["00081199"]["Value"]], ["1.2.3.4.5"])
    equal([value(i, "00081197") for i in done["00081198"]["Value"]], [0xC409], "of another study")
    equal(len(done["0008119A"]["Value"]), 1)
    equal(world.web("/studies", "POST", b"x" * 10, Content_Type="application/json")[0], 415)
    equal(world.web("/studies", "POST", body[:200], Content_Type=kind)[0], 400, "cut short")
    equal(world.web("/studies", "POST", body, Content_Type="multipart/related; type=application/dicom")[0], 400, "no boundary")
    broken = multipart([("application/dicom", plain.getvalue()[:200])])
    equal(world.web("/studies", "POST", broken[0], Content_Type=broken[1])[0], 409)


# ---- search ----

def case_studies_are_found_by_their_keys(world):
    equal(len(world.search("/studies")), 6)
    for query, count in (("PatientName=Smith*", 2), ("00100020=PAT1", 1), ("ModalitiesInStudy=CT", 3), ("StudyDate=20240102-20240104", 3),
                         (f"StudyInstanceUID={ROOT}.1,{ROOT}.2", 2), ("AccessionNumber=ACC4&PatientID=PAT4", 1), ("PatientID=NOBODY", 0),
                         ("PatientName=m%C3%BCller*", 1), ("limit=2", 2), ("limit=100&offset=4", 2)):
        equal(len(world.search("/studies?" + query)), count, query)
    study = world.search("/studies?PatientID=PAT1&includefield=StudyDescription")[0]
    equal(study["00100010"]["Value"][0]["Alphabetic"], "Müller^Jörg")
    equal((value(study, "00201206"), value(study, "00201208"), value(study, "00080061")), (1, 9, "CT"))
    equal(value(study, "00081190").endswith(f"/dicom-web/studies/{ROOT}.1"), True)
    equal(value(study, "00081030"), "Thorax")
    status, headers, _ = world.web("/studies?limit=2&nonsense=1")
    equal((status, len(headers.get_all("Warning"))), (200, 2))
    for query, warned in (("Modality=CT", 1), ("NumberOfStudyRelatedInstances=9", 1), ("includefield=00081030,00080060,SeriesDescription", 0),
                          ("PatientName=*&ModalitiesInStudy=CT", 0)):
        equal(len(world.web("/studies?" + query)[1].get_all("Warning") or []), warned, query)
    equal(world.web("/studies?limit=x")[0], 400)
    equal(world.web("/studies?" + "&".join(f"PatientName=a{i}" for i in range(200)))[0], 400, "an attribute is asked for once")
    equal(world.web(f"/studies/{ROOT}.1/series?StudyInstanceUID={ROOT}.2")[0], 400)
    equal(world.web("/studies?PatientID=NOBODY")[0], 204)


def case_series_and_instances_are_found_below_and_at_the_root(world):
    series = world.search(f"/studies/{ROOT}.1/series")
    equal([(value(s, "00080060"), value(s, "00201209")) for s in series], [("CT", 9)])
    equal(len(world.search(f"/studies/{ROOT}.1/series/{ROOT}.1.1/instances")), 9)
    equal(len(world.search(f"/studies/{ROOT}.2/instances")), 3)
    equal(len(world.search("/series?Modality=CT")), 3)
    instance = world.search(f"/instances?SOPInstanceUID={ROOT}.3.1.1")[0]
    equal((value(instance, "00280008"), value(instance, "00100020"), value(instance, "00080060")), (10, "PAT3", "OT"))


# ---- pictures ----

def case_frames_are_rendered_with_the_window_that_is_asked_for(world):
    from PIL import Image

    def picture(path, **headers):
        status, told, body = world.web(path, **headers)
        equal((status, told["Content-Type"]), (200, "image/jpeg"), body[:200])
        image = Image.open(io.BytesIO(body))
        image.load()
        return image, told
    path = world.made["ct"][0]
    ds = pydicom.dcmread(path)
    pixels = ds.pixel_array
    image, told = picture(instance_path(path) + "/rendered?quality=100")
    equal((image.size, image.mode), ((ds.Columns, ds.Rows), "L"))
    least, largest = float(pixels.min()), float(pixels.max())
    slope, intercept = float(ds.get("RescaleSlope", 1)), float(ds.get("RescaleIntercept", 0))
    used = [float(x) for x in told["Vitrine-Window"].split(",")]
    equal(used[2:], [least * slope + intercept, largest * slope + intercept])
    low = used[2] - 1000
    black, _ = picture(instance_path(path) + f"/rendered?window={used[3] + 1000},10,linear")
    white, _ = picture(instance_path(path) + f"/rendered?window={low},10,linear")
    equal((black.getextrema()[1] < 4, white.getextrema()[0] > 251), (True, True))
    small, _ = picture(f"/studies/{ROOT}.1/thumbnail?viewport=5,5", Accept="image/*")
    equal(max(small.size), 5)
    frames = instance_path(world.made["multi"][0])
    equal(picture(frames + "/frames/10/rendered")[0].size, picture(frames + "/rendered")[0].size)
    for wrong, status in (("/frames/11/rendered", 404), ("/frames/x/rendered", 400), ("/rendered?window=1", 400),
                          ("/rendered?window=1,0,linear", 400), ("/rendered?viewport=0,5", 400), ("/rendered?viewport=99999,5", 400),
                          ("/rendered?quality=101", 400), ("/rendered?viewport=5,5,60000,0,5,5", 400)):
        equal(world.web(frames + wrong)[0], status, wrong)
    equal(world.web(frames + "/rendered", Accept="text/plain")[0], 406)
    equal(world.web(instance_path(world.made["jpeg"][0]) + "/rendered")[0] in (400, 406, 500), True, "its bytes are made up")


def case_pictures_of_studies_and_lists_come_as_parts(world):
    from PIL import Image

    def pictures(path, **headers):
        status, told, body = world.web(path, **headers)
        equal((status, told.get_content_type()), (200, "multipart/related"), body[:200])
        found = parts_of(told, body)
        equal({kind for kind, _ in found}, {told.get_param("type")})
        return [Image.open(io.BytesIO(data)).size for _, data in found]
    multi = instance_path(world.made["multi"][0])
    size = pydicom.dcmread(world.made["multi"][0])
    size = (size.Columns, size.Rows)
    equal(pictures(multi + "/frames/2,9,2/rendered"), [size] * 3)
    equal(pictures(multi + "/frames/2,9/rendered?viewport=4,4", Accept='multipart/related; type="image/png"'), [(4, 4)] * 2)
    equal(pictures(multi + "/frames/1,2/thumbnail?viewport=5,5", Accept="image/jpeg"), [(5, 5)] * 2)
    equal(pictures(multi + "/rendered", Accept="multipart/related; type=image/jpeg"), [size])
    equal(Image.open(io.BytesIO(world.web(multi + "/frames/3/thumbnail", Accept="image/png")[2])).size[0] <= 128, True)
    study = multi.partition("/series")[0]
    equal(pictures(study + "/rendered"), [size] * 10)
    equal(len(pictures(f"/studies/{ROOT}.1/series/{ROOT}.1.1/rendered?viewport=8,8")), 9)
    for wrong, status in (("/frames/2,11/rendered", 404), ("/frames/1,,2/rendered", 400), ("/frames/0/thumbnail", 400)):
        equal(world.web(multi + wrong)[0], status, wrong)
    equal(world.web("/studies/1.2.3/rendered")[0], 404)
    equal(world.web(study + "/rendered", Accept="text/html")[0], 406)


# ---- retrieve ----

def case_a_study_comes_as_parts_in_explicit_form_by_default(world):
    status, headers, body = world.web(f"/studies/{ROOT}.2", Accept='multipart/related; type="application/dicom"')
    parts = parts_of(headers, body)
    equal((status, len(parts)), (200, 3))
    for kind, data in parts:
        equal(kind, "application/dicom;transfer-syntax=" + raw.EXPLICIT)
        ds = pydicom.dcmread(io.BytesIO(data))
        equal(ds.PixelData, pydicom.dcmread(next(p for p in world.made["mr"] if ds.SOPInstanceUID in instance_path(p))).PixelData)
    equal(world.web(f"/studies/{ROOT}.2", Accept="image/png")[0], 406)
    equal(world.web(f"/studies/{ROOT}.4", Accept=AS_STORED.replace("*", raw.DEFLATED))[0], 406, "its frames are no JPEG")
    status, headers, body = world.web(f"/studies/{ROOT}.1", Accept=AS_STORED.replace("*", "1.2.840.10008.1.2.4.80"))
    equal((status, {k for k, _ in parts_of(headers, body)}), (200, {"application/dicom;transfer-syntax=1.2.840.10008.1.2.4.80"}))
    equal(world.web("/studies/1.2.3", Accept=AS_STORED)[0], 404)


def case_stored_bytes_go_to_whoever_takes_them_in_any_item_of_accept(world):
    """However low its quality is: what is stored is never decoded for one who takes it as it is."""
    jpeg, multi = (instance_path(world.made[k][0]) for k in ("jpeg", "multi"))
    part = 'multipart/related; type="application/dicom"'
    for accept in (f"{part}; transfer-syntax={raw.EXPLICIT}, {part}; transfer-syntax=*; q=0.1", f"{part}, */*; q=0.1", "*/*",
                   f"{part}; transfer-syntax={raw.EXPLICIT}, {part}; transfer-syntax={raw.JPEG_BASELINE}; q=0.1"):
        status, headers, body = world.web(jpeg, Accept=accept)
        equal((status, [k for k, _ in parts_of(headers, body)]), (200, ["application/dicom;transfer-syntax=" + raw.JPEG_BASELINE]), accept)
    for accept in (f"application/dicom; transfer-syntax={raw.EXPLICIT}, application/dicom; transfer-syntax=*; q=0.1",
                   f"application/dicom, application/dicom; transfer-syntax={raw.JPEG_BASELINE}; q=0.1"):
        status, headers, body = world.web(jpeg, Accept=accept)
        equal((status, headers["Content-Type"], headers["Accept-Ranges"]), (200, "application/dicom;transfer-syntax=" + raw.JPEG_BASELINE, "bytes"), accept)
    status, headers, body = world.web(multi, Accept=f"{part}; transfer-syntax=1.2.840.10008.1.2.4.80, {part}; transfer-syntax=1.2.840.10008.1.2.4.90")
    equal([k for k, _ in parts_of(headers, body)], ["application/dicom;transfer-syntax=1.2.840.10008.1.2.4.80"], "none of them is stored: the first")
    equal(world.web(jpeg, Accept=f"{part}; transfer-syntax=9.9.9")[0], 406)


def case_metadata_are_what_pydicom_reads(world):
    for kind in ("ct", "mr", "multi", "big", "deflated"):
        path = world.made[kind][0]
        ds = pydicom.dcmread(path)
        status, headers, body = world.web(instance_path(path) + "/metadata", Accept_Encoding="gzip")
        equal((status, headers["Content-Type"]), (200, "application/dicom+json"), body[:300])
        item, = json.loads(body)
        again = pydicom.Dataset.from_json(item, lambda *_: b"")
        for element in ds:
            if element.keyword not in ("PixelData", "SpecificCharacterSet"):
                equal(again[element.tag].value, element.value, f"{kind} {element.keyword}")
        equal(item["00080005"]["Value"], ["ISO_IR 192"])
    equal(len(json.loads(world.web(f"/studies/{ROOT}.1/series/{ROOT}.1.1/metadata")[2])), 9)


def case_frames_come_as_they_are_stored(world):
    multi, jpeg = instance_path(world.made["multi"][0]), instance_path(world.made["jpeg"][0])
    ds = pydicom.dcmread(world.made["multi"][0])
    status, headers, body = world.web(multi + "/frames/2,10", Accept=OCTETS)
    equal(status, 200)
    equal([d for _, d in parts_of(headers, body)], [ds.PixelData[1024:2048], ds.PixelData[9216:]])
    frames = list(pydicom.encaps.generate_pixel_data_frame(pydicom.dcmread(world.made["jpeg"][0]).PixelData, 3))
    for accept in ("image/jpeg", "application/octet-stream; transfer-syntax=*", "image/*;q=0.5, text/html"):
        status, headers, body = world.web(jpeg + "/frames/3", Accept=accept)
        equal((status, body), (200, frames[2]), accept)
    status, headers, body = world.web(jpeg + "/frames/1", Accept="*/*")
    equal(parts_of(headers, body), [("image/jpeg;transfer-syntax=" + raw.JPEG_BASELINE, frames[0])])
    equal(world.web(multi + "/frames/11", Accept=OCTETS)[0], 404)
    for wrong in ("0", "x", "1,,2", "-1", "1;2"):
        equal(world.web(multi + "/frames/" + wrong, Accept=OCTETS)[0], 400, wrong)


def case_values_and_files_come_in_ranges(world):
    path = world.made["ct"][0]
    ds = pydicom.dcmread(path)
    status, headers, body = world.web(instance_path(path) + "/bulkdata/7FE00010", Range="bytes=100-199")
    equal((status, headers["Content-Range"], body), (206, "bytes 100-199/8192", ds.PixelData[100:200]))
    equal(world.web(instance_path(path) + "/bulkdata/7FE00010", Range="bytes=-5")[2], ds.PixelData[-5:])
    equal(world.web(instance_path(path) + "/bulkdata/7FE00010", Range="bytes=9000-")[0], 416)
    equal(world.web(instance_path(path) + "/bulkdata/00400275/1/00400009")[2].strip(), b"SPS1")
    equal(world.web(instance_path(path) + "/bulkdata/00400275/2/00400009")[0], 404)
    status, headers, body = world.web(instance_path(path) + "/bulkdata/7FE00010", Accept=OCTETS.replace("; transfer-syntax=*", ""))
    equal((status, int(headers["Content-Length"]), parts_of(headers, body)), (200, len(body), [(OCTETS.partition("type=")[2].partition(";")[0], ds.PixelData)]))
    status, headers, body = world.web(instance_path(path) + "/file")
    equal((status, pydicom.dcmread(io.BytesIO(body)).SOPInstanceUID), (200, ds.SOPInstanceUID))


def case_every_bulk_data_uri_of_the_metadata_leads_to_its_value(world):
    for kind in ("ct", "mr", "multi", "big", "deflated"):
        path = world.made[kind][0]
        ds, (item,) = pydicom.dcmread(path), json.loads(world.web(instance_path(path) + "/metadata")[2])
        found = {tag: member["BulkDataURI"] for tag, member in item.items() if "BulkDataURI" in member}
        equal("7FE00010" in found, True, kind)
        for tag, where in found.items():
            status, _, body = world.ask("/dicom-web" + where.partition("/dicom-web")[2])
            expected = ds[int(tag, 16)].value
            if kind == "big" and ds.BitsAllocated == 16:
                expected = numpy.frombuffer(expected, ">u2").astype("<u2").tobytes()
            equal((status, body[:300] if status != 200 else body == expected), (200, True), f"{kind} {where}")


def case_one_instance_comes_as_a_single_part_in_ranges(world):
    path = world.made["ct"][1]
    stored, syntax = path.read_bytes(), "application/dicom;transfer-syntax=" + raw.EXPLICIT
    status, headers, body = world.web(instance_path(path), Accept="application/dicom")
    equal((status, headers["Content-Type"], headers["Accept-Ranges"]), (200, syntax, "bytes"))
    equal(raw.split_part10(body)[3] == raw.split_part10(stored)[3], True)
    tag, size = headers["ETag"], len(body)
    status, headers, part = world.web(instance_path(path), Accept="application/dicom", Range="bytes=200-299", If_Range=tag)
    equal((status, headers["Content-Range"], part == body[200:300]), (206, f"bytes 200-299/{size}", True))
    equal(world.web(instance_path(path), Accept="application/dicom", Range="bytes=200-299", If_Range='"other"')[0], 200)
    equal(world.web(instance_path(path), Accept="application/dicom", Range=f"bytes={size}-")[0], 416)
    equal(world.web(instance_path(path), Accept="application/dicom", If_None_Match=f'"x", {tag}')[0], 304)
    jpeg = instance_path(world.made["jpeg"][0])
    status, headers, body = world.web(jpeg, Accept="application/dicom; transfer-syntax=*")
    equal((status, raw.split_part10(body)[0]), (200, raw.JPEG_BASELINE))
    implicit = instance_path(world.made["mr"][0])
    status, headers, body = world.web(implicit, Accept="application/dicom")
    equal((status, raw.split_part10(body)[0], pydicom.dcmread(io.BytesIO(body)).PixelData),
          (200, raw.EXPLICIT, pydicom.dcmread(world.made["mr"][0]).PixelData))
    other = instance_path(world.made["ct"][0]).replace(f"/studies/{ROOT}.1/", f"/studies/{ROOT}.2/")
    equal(world.web(other, Accept="application/dicom")[0], 404)
    equal(world.web(other + "/file")[0], 404)


def case_what_the_client_has_is_not_sent_again(world):
    path = instance_path(world.made["multi"][0])
    for place, accept in (("/frames/3", OCTETS), ("/frames/1,2", OCTETS), ("/metadata", "*/*"), ("/rendered", "image/png"),
                          ("/thumbnail", "*/*"), ("/file", "*/*")):
        status, headers, _ = world.web(path + place, Accept=accept)
        equal((status, headers["ETag"] is not None), (200, True), place)
        status, again, body = world.web(path + place, Accept=accept, If_None_Match=headers["ETag"])
        equal((status, body, again["ETag"]), (304, b"", headers["ETag"]), place)
        equal(world.web(path + place, Accept=accept, If_None_Match='"another"')[0], 200, place)
    tags = {world.web(path + p, Accept=a)[1]["ETag"] for p, a in (("/frames/1", OCTETS), ("/frames/2", OCTETS), ("/rendered", "image/png"),
                                                                   ("/rendered", "image/jpeg"), ("/rendered?quality=5", "image/jpeg"))}
    equal(len(tags), 5, "each answer has its own")


def case_compressed_frames_are_decoded_for_who_takes_octets_only(world):
    from PIL import Image
    ds = pydicom.dcmread(world.made["jpeg"][0])
    pictures = [Image.new("L", (16, 16), 40 * k) for k in (1, 2, 3)]
    frames = []
    for picture in pictures:
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=95)
        frames.append(out.getvalue())
    ds.PixelData = pydicom.encaps.encapsulate(frames)
    ds["PixelData"].is_undefined_length = True
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{ROOT}.4.1.9"
    out = io.BytesIO()
    pydicom.dcmwrite(out, ds, write_like_original=False)
    body, kind = multipart([("application/dicom", out.getvalue())])
    equal(world.web("/studies", "POST", body, Content_Type=kind)[0], 200)
    path = f"/studies/{ROOT}.4/series/{ROOT}.4.1/instances/{ROOT}.4.1.9"
    for accept in ("application/octet-stream", "application/octet-stream; transfer-syntax=" + raw.EXPLICIT):
        status, headers, body = world.web(path + "/frames/2", Accept=accept)
        equal((status, headers["Content-Type"]), (200, "application/octet-stream;transfer-syntax=" + raw.EXPLICIT), body[:200])
        equal((len(body), max(abs(b - 80) for b in body) < 4), (256, True))
    status, headers, body = world.web(path + "/frames/1,3", Accept="multipart/related; type=application/octet-stream")
    equal([len(d) for _, d in parts_of(headers, body)], [256, 256])
    status, headers, body = world.web(path + "/frames/2", Accept="application/octet-stream, image/jpeg;q=0.1")
    equal((headers["Content-Type"], body[:len(frames[1])] == frames[1]), ("image/jpeg;transfer-syntax=" + raw.JPEG_BASELINE, True), "as stored")
    made_up = instance_path(world.made["jpeg"][0])
    equal(world.web(made_up + "/frames/1", Accept="application/octet-stream")[0] in (400, 406, 500), True)
    status, headers, body = world.web(path + "/frames/2/rendered", Accept="image/png")
    equal((status, headers["Content-Type"], Image.open(io.BytesIO(body)).size), (200, "image/png", (16, 16)))


def case_long_lists_of_frames_are_streamed(world):
    path = instance_path(world.made["multi"][0])
    pixels = pydicom.dcmread(world.made["multi"][0]).PixelData
    numbers = [1 + i * 7 % 10 for i in range(100)]
    status, headers, body = world.web(path + "/frames/" + ",".join(map(str, numbers)), Accept=OCTETS)
    equal((status, [d for _, d in parts_of(headers, body)] == [pixels[1024 * (n - 1):1024 * n] for n in numbers]), (200, True))


def case_many_at_once_see_the_same(world):
    """Eight clients, while instances of another study come and go."""
    ct, multi = (instance_path(world.made[k][0]) for k in ("ct", "multi"))
    places = [(ct + "/frames/1", OCTETS), (multi + "/frames/1,5,9", OCTETS), (ct + "/metadata", "*/*"), (ct + "/rendered", "image/png"),
              (f"/studies/{ROOT}.1/thumbnail", "image/jpeg"), (ct + "/bulkdata/7FE00010", "*/*"), (ct, "application/dicom"), ("/studies?PatientID=PAT1", "*/*")]

    def look(place, accept):
        status, headers, body = world.web(place, Accept=accept)
        return status, parts_of(headers, body) if "boundary" in headers["Content-Type"] else body
    expected = {place: look(place, accept) for place, accept in places}
    ds = pydicom.dcmread(world.made["mr"][1])
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{ROOT}.98", f"{ROOT}.98.1"
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{ROOT}.98.1.1"
    out = io.BytesIO()
    pydicom.dcmwrite(out, ds, write_like_original=False)
    body, kind = multipart([("application/dicom", out.getvalue())])
    wrong = []

    def work(number):
        for i in range(60):
            place, accept = places[(i * 3 + number) % len(places)]
            if look(place, accept) != expected[place]:
                wrong.append(place)
            if number < 2 and i % 10 == 0:
                for ask, more in ((("/studies", "POST", body), {"Content_Type": kind}), ((f"/studies/{ROOT}.98/metadata",), {}),
                                  ((f"/studies/{ROOT}.98", "DELETE"), {})):
                    status = world.web(*ask, **more)[0]
                    if status not in (200, 204, 404, 409):
                        wrong.append((ask[0], status))
    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(wrong, [])
    world.web(f"/studies/{ROOT}.98", "DELETE")


def case_json_is_packed_as_the_client_likes(world):
    for asked, coding, begin in (("zstd, gzip", "zstd", b"\x28\xb5\x2f\xfd"), ("gzip, zstd;q=0.5", "gzip", b"["), ("br", None, b"["), ("gzip;q=0, zstd;q=0", None, b"[")):
        _, headers, body = world.web(f"/studies/{ROOT}.1/instances", Accept_Encoding=asked)
        equal((headers["Content-Encoding"], body[:len(begin)]), (coding, begin), asked)


def case_the_pictures_of_a_corrected_patient_are_served_as_ever(world):
    path = instance_path(world.made["ct"][2])
    ds = pydicom.dcmread(world.made["ct"][2])
    done = world.node.cli("patient", "correct", ds.PatientID, "PatientName=Right^Name")
    equal(done.returncode, 0, done.stderr)
    try:
        item, = json.loads(world.web(path + "/metadata")[2])
        equal(item["00100010"]["Value"][0]["Alphabetic"], "Right^Name")
        where = "/dicom-web" + item["7FE00010"]["BulkDataURI"].partition("/dicom-web")[2]
        status, _, got = world.ask(where)
        equal((status, got[:200] if status != 200 else got == ds.PixelData), (200, True))
        equal(world.web(path + "/frames/1", Accept="application/octet-stream")[2] == ds.PixelData, True)
        equal(world.web(path + "/bulkdata/00400275/1/00400009")[2].strip(), b"SPS1")
        equal(world.web(path + "/bulkdata/00100010")[2].strip(), b"Right^Name")
        equal(json.loads(world.web(instance_path(world.made["ct"][2]) + "/metadata")[2])[0]["00081190"]["Value"][0].endswith(path), True)
        equal(world.web(path + "/rendered")[0], 200)
        _, headers, body = world.web(path, Accept=AS_STORED)
        (_, data), = parts_of(headers, body)
        got = pydicom.dcmread(io.BytesIO(data))
        equal((str(got.PatientName), got.PixelData == ds.PixelData), ("Right^Name", True))
    finally:
        action = json.loads(world.node.cli("patient", "log", "--json").stdout.splitlines()[-1])["id"]
        equal(world.node.cli("patient", "undo", action).returncode, 0)


# ---- delete ----

def case_a_deleted_study_is_in_the_trash(world):
    ds = pydicom.dcmread(world.made["mr"][0])
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{ROOT}.99", f"{ROOT}.99.1"
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{ROOT}.99.1.1"
    out = io.BytesIO()
    pydicom.dcmwrite(out, ds, write_like_original=False)
    body, kind = multipart([("application/dicom", out.getvalue())])
    equal(world.web("/studies", "POST", body, Content_Type=kind)[0], 200)
    equal(world.web(f"/studies/{ROOT}.99", "DELETE", Origin="http://evil.example")[0], 403)
    equal(world.web(f"/studies/{ROOT}.99?reason=" + "x" * 300, "DELETE")[0], 400)
    equal(world.web(f"/studies/{ROOT}.99?reason=wrong%20patient", "DELETE")[::2], (204, b""))
    equal(world.web(f"/studies/{ROOT}.99", Accept=AS_STORED)[0], 404)
    equal(world.web(f"/studies/{ROOT}.99", "DELETE")[0], 404)
    trash = json.loads(world.ask("/api/trash")[2])["rows"]
    equal(f"{ROOT}.99" in json.dumps(trash), True)


# ---- slides ----

def case_the_original_of_a_slide_comes_in_ranges(world):
    import slides
    slide = slides.pyramid(world.folder / "made.svs")
    done = world.node.cli("import", slide)
    equal(done.returncode, 0, done.stderr)
    whole = slide.read_bytes()
    study = next(value(s, "0020000D") for s in world.search("/studies?ModalitiesInStudy=SM"))
    raw_data = next(i for i in world.search(f"/studies/{study}/instances") if value(i, "00080016") == "1.2.840.10008.5.1.4.1.1.66")
    status, headers, body = world.web(f"/studies/{study}/original")
    equal((status, body == whole), (200, True))
    one = f"/studies/{study}/series/{value(raw_data, '0020000E')}"
    for place in (f"/studies/{study}/original", one + "/original", f"{one}/instances/{value(raw_data, '00080018')}/original"):
        status, headers, body = world.web(place, Range="bytes=1000-4999")
        equal((status, headers["Content-Range"], body == whole[1000:5000]), (206, f"bytes 1000-4999/{len(whole)}", True))
        equal(world.web(place, If_None_Match=headers["ETag"])[0], 304)
    equal(world.web(f"/studies/{study}/original", Range="bytes=-7")[2], whole[-7:])
    equal(world.web(f"/studies/{ROOT}.1/original")[0], 404)
    equal(world.web("/studies/abc/original")[0], 400)
    equal(world.web(instance_path(world.made["ct"][0]) + "/original")[0], 404)


# ---- who may ----

def case_without_a_user_everybody_on_loopback_is_an_admin(world):
    equal(json.loads(world.ask("/api/me")[2]), {"user": "", "role": "admin", "open": True})


# ---- barriers ----

def case_other_hosts_and_pages_of_others_are_refused(world):
    equal(world.web("/studies", Host="evil.example")[0], 421)
    body, kind = multipart([("application/dicom", world.made["ct"][0].read_bytes())])
    for headers in ({"Origin": "http://evil.example"}, {"Sec_Fetch_Site": "cross-site"}, {"Origin": "null"}):
        equal(world.web("/studies", "POST", body, Content_Type=kind, **headers)[0], 403, headers)


def case_listed_pages_of_others_may_read_dicomweb_only(world):
    viewer, other = {"Origin": "https://viewer.example"}, {"Origin": "https://evil.example"}
    status, headers, _ = world.web("/studies", **viewer)
    equal((status, headers["Access-Control-Allow-Origin"], headers["Vary"]), (200, "https://viewer.example", "Origin"))
    status, headers, _ = world.web("/studies", "OPTIONS", **viewer)
    equal((status, headers["Access-Control-Allow-Methods"]), (204, "GET, HEAD"))
    for path, who in (("/dicom-web/studies", other), ("/api/me", viewer), ("/dicom-web/studies", {})):
        equal(world.ask(path, **who)[1]["Access-Control-Allow-Origin"], None, path)
    equal(world.web("/studies", "OPTIONS", **other)[0] >= 400, True)
    equal(world.web("/studies", "POST", b"x", **viewer)[0], 403)


def case_what_the_client_does_not_take_is_not_sent(world):
    path = instance_path(world.made["ct"][0])
    for place in (path + "/metadata", "/studies", f"/studies/{ROOT}.1/series"):
        for accept, status in (("application/dicom+json", 200), ("application/json", 200), ("application/dicom+xml", 406), ("text/html, */*;q=0.1", 200),
                               ('multipart/related; type="application/dicom+xml"', 406), ("application/*", 200)):
            equal(world.web(place, Accept=accept)[0], status, f"{place} {accept}")
    status, headers, _ = world.web(path, "PUT", b"x")
    equal((status, headers["Allow"]), (405, "GET, HEAD, DELETE"))
    equal(world.web("/studies", "DELETE")[1]["Allow"], "GET, HEAD, POST")


def case_nonsense_is_answered_in_a_sentence(world):
    for path, status in (("/dicom-web/nothing", 404), ("/dicom-web/studies/abc/series", 400), ("/dicom-web/studies/%00/series", 404),
                         ("/dicom-web/studies/" + "1" * 5000 + "/series", 404), ("/dicom-web/studies/..%2f..%2fetc/metadata", 400),
                         ("/dicom-web/studies?" + "&".join(f"a{i}=1" for i in range(300)), 400)):
        got, headers, body = world.ask(path)
        equal(got, status, path[:60])
        equal(isinstance(json.loads(body)["error"], str), True)
    equal(world.ask("/dicom-web/studies", "DELETE")[0], 405)


if __name__ == "__main__":
    with work_folder("dicomweb") as work:
        scene = World(work)
        with scene.node:
            failed = run(globals(), scene)
            ended = scene.node.stop()
            if ended:   # a sanitizer has something to say
                print("\n".join(scene.node.lines[-60:]))
            sys.exit(failed or ended)
