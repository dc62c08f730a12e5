#!/usr/bin/python3
"""Every file of the wide test data, sent as it is: what is accepted comes back byte by byte in its own transfer syntax; what is not is
refused with a reason; the node lives. Every character set is found by name, asked for in UTF-8. Skipped when the data are not there."""
import os
import pathlib
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rawdicom as raw
import rawget
from cases import equal, run
from node import Node, SKIPPED, shared_data, work_folder

LARGEST = 64 << 20
COMMENT_MAX = 64


class World:
    def __init__(self, folder, data):
        self.data = data
        self.folder, self.nodes = pathlib.Path(folder), []
        self.node = self.node_at(0)      # all files come here
        self.kept = {}                   # SOP UID -> how often it came

    def node_at(self, n):
        """The n-th node takes what came for the n-th time under its SOP Instance UID, so that it is new there."""
        while len(self.nodes) <= n:
            self.nodes.append(Node(self.folder / f"archive{len(self.nodes)}", ["dicom.accept_unknown_storage=yes"]).start())
        return self.nodes[n]


def uids_of(parts):
    """SOP class and instance as a sender would put them into the command: the data set's, else those of group 0002."""
    syntax, sop_class, uid, data_set = parts
    if syntax in (raw.BIG_ENDIAN, raw.DEFLATED):
        return sop_class, uid
    values = raw.elements_of(data_set[:4096], implicit=syntax == raw.IMPLICIT)
    return raw.text(values, 0x00080016) or sop_class, raw.text(values, 0x00080018) or uid


def part10_files(folder):
    for path in sorted(folder.rglob("*")):
        if path.is_file() and 132 < path.stat().st_size <= LARGEST:
            parts = raw.split_part10(path.read_bytes())
            if parts and parts[1] and parts[2]:
                yield path, (parts[0], *uids_of(parts), parts[3])


def store(node, syntax, sop_class, uid, data_set):
    """(status or None when no context was accepted, comment)"""
    try:
        with raw.Association(node.port, contexts=[(sop_class, [syntax])], calling="WIDE") as a:
            if not a.accepted:
                return None, "context refused"
            status, values = a.store(sop_class, uid, data_set)
            return status, raw.comment_of(values)
    except raw.Rejected as e:
        return None, str(e)
    except (raw.Aborted, raw.Closed) as e:
        return None, f"association ended: {e!r}"


def fetch(node, syntax, sop_class, uid):
    contexts = [(raw.STUDY_GET, [raw.EXPLICIT]), (sop_class, [syntax])]
    with raw.Association(node.port, contexts=contexts, roles=[sop_class], calling="WIDE") as a:
        return rawget.get(a, rawget.keys("IMAGE", sop=uid))


def stored(status):
    return status is not None and (status == 0 or status & 0xF000 == 0xB000)


def case_every_file_comes_back_unchanged_or_is_refused_with_a_reason(world):
    count, refused, faults = 0, [], []
    for path, (syntax, sop_class, uid, data_set) in part10_files(world.data / "dicom"):
        name, earlier = path.relative_to(world.data), world.kept.get(uid, 0)
        node = world.node_at(earlier)
        status, comment = store(node, syntax, sop_class, uid, data_set)
        if earlier:                      # the first node decides about duplicates; whatever it says needs a reason
            again, why = store(world.node, syntax, sop_class, uid, data_set)
            if not stored(again) and not why:
                faults.append(f"{name}: refused as a duplicate without a reason")
            print(f"       {name} again: {again:04X} {why}")
        if not node.alive() or not world.node.alive():
            raise AssertionError(f"{name} ended the node")
        if not stored(status):
            refused.append(f"{name}: {'-' if status is None else f'{status:04X}'} {comment}")
            if not comment:
                faults.append(f"{name}: refused without a reason")
            continue
        count += 1
        world.kept[uid] = earlier + 1
        final, found, values, _ = fetch(node, syntax, sop_class, uid)
        back = found.get(uid, (0, b""))[1]
        if back != data_set:
            faults.append(f"{name}: came back changed ({final:04X} {raw.comment_of(values)}, {len(back)} of {len(data_set)} bytes)")
    print(f"     {count} stored and fetched, {len(refused)} refused:")
    for line in refused:
        print("       " + line)
    equal(faults, [])
    if count < 100:
        raise AssertionError(f"only {count} stored")


def case_every_character_set_is_found_by_name(world):
    import pydicom
    faults, asked = [], 0
    names = sorted((world.data / "dicom/charset").glob("*.dcm")) + sorted((world.data / "dicom/synthetic").glob("charset_*.dcm"))
    for path in names:
        ds = pydicom.dcmread(path)
        name = "=".join(group for group in str(ds.get("PatientName", "")).split("="))
        if not name or ds.get("SOPInstanceUID") not in world.kept:
            print(f"       {path.name}: not asked for (name {name!r}, SOP Instance UID {ds.get('SOPInstanceUID')})")
            continue
        asked += 1
        encoded = name.encode("utf-8")
        identifier = (raw.element(0x00080005, "CS", "ISO_IR 192") + raw.element(0x00080052, "CS", "STUDY") +
                      raw.element(0x00100010, "PN", encoded + b" " * (len(encoded) % 2)) + raw.element(0x0020000D, "UI", ""))
        with raw.Association(world.node.port, contexts=[(raw.STUDY_FIND, [raw.EXPLICIT])]) as a:
            status, found, values = a.find(identifier)
        studies = {raw.text(raw.elements_of(match), 0x0020000D) for match in found}
        if status != 0 or ds.StudyInstanceUID not in studies:
            faults.append(f"{path.name}: {name!r} gave {status:04X} and {len(found)} matches {raw.comment_of(values)}")
    equal(faults, [])
    if asked < 10:
        raise AssertionError(f"only {asked} names were asked for")


def case_losslessly_compressed_pixels_reach_who_takes_explicit_only(world):
    import pydicom
    folder, plain = world.data / "dicom/transfer-syntax", pydicom.dcmread(world.data / "dicom/basic/MR_small.dcm")
    for n, name in enumerate(("MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm")):
        syntax, sop_class, uid, data_set = raw.split_part10((folder / name).read_bytes())
        with Node(world.folder / f"decoded{n}") as node:
            equal(store(node, syntax, sop_class, uid, data_set)[0], 0, name)
            final, found, values, _ = fetch(node, raw.EXPLICIT, sop_class, uid)
            equal(final, 0, f"{name}: {raw.comment_of(values)}")
            path = world.folder / f"{name}.out"
            path.write_bytes(raw.part10(found[uid][1], raw.EXPLICIT, sop_class, uid))
            equal(pydicom.dcmread(path).PixelData, plain.PixelData, name)


def main():
    data = shared_data()
    if data is None:
        print("no shared data here: skipped")
        return SKIPPED
    with work_folder("shared") as folder:
        world = World(folder, data)
        try:
            status = run(globals(), world)
            ends = [node.stop() for node in world.nodes]
            if any(ends):
                print("vitrined ended with", ends)
                status = 1
        finally:
            for node in world.nodes:
                if node.alive():
                    node.kill()
        return status


if __name__ == "__main__":
    sys.exit(main())
