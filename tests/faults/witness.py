"""What was acknowledged, and whether it is all there: shared by the crash, power-cut and disk tests.

dicombench --acks writes a line for each answer of success: SOP, study and series UID, CRC-32 of the data set as it was sent."""
import os
import pathlib
import subprocess
import sys
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "scenarios"))
import node as nodes  # noqa: E402
from rawdicom import (EXPLICIT, STUDY_FIND, Association, element, elements_of, split_part10, text)  # noqa: E402

DICOMBENCH = nodes.BIN / "dicombench"


def load(port, acks, *options):
    """Starts a dicombench store; it ends when it has stored its count or the node is gone."""
    return subprocess.Popen([str(DICOMBENCH), "store", "--port", str(port), "--acks", str(acks), *map(str, options)],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def read_acks(path):
    """{SOP Instance UID: (study, series, crc)}; a last line cut short counts as not acknowledged."""
    acks = {}
    if os.path.exists(path):
        for line in open(path, encoding="ascii"):
            words = line.split()
            if line.endswith("\n") and len(words) == 4:
                acks[words[0]] = (words[1], words[2], int(words[3], 16))
    return acks


def instances_of(association, study, series):
    """SOP Instance UIDs that C-FIND tells of one series, in order, as often as it tells them."""
    keys = (element(0x00080018, "UI", "") + element(0x00080052, "CS", "IMAGE") + element(0x0020000D, "UI", study) +
            element(0x0020000E, "UI", series))
    status, matches, _ = association.find(keys)
    if status != 0:
        raise RuntimeError(f"C-FIND of series {series} answered {status:04X}")
    return [text(elements_of(m), 0x00080018) for m in matches]


def missing_from_index(port, acks):
    """Sentences about acknowledged instances that C-FIND does not tell exactly once."""
    by_series = {}
    for sop, (study, series, _) in acks.items():
        by_series.setdefault((study, series), []).append(sop)
    faults = []
    with Association(port, contexts=[(STUDY_FIND, [EXPLICIT])]) as a:
        for (study, series), sops in by_series.items():
            told = instances_of(a, study, series)
            for sop in sops:
                if told.count(sop) != 1:
                    faults.append(f"{sop}: acknowledged, found {told.count(sop)} times")
    return faults


def crc_of(path, sop):
    """CRC-32 of the data set of an object; None when the file is none of that instance."""
    parts = split_part10(pathlib.Path(path).read_bytes())
    return zlib.crc32(parts[3]) if parts and parts[2] == sop else None


def missing_from_disk(path, acks, files=None):
    """Sentences about acknowledged instances whose object is not there once, with the bytes that were sent. The third of an
    acknowledgement may be a set of checksums: of an instance with versions, all of which must be there."""
    files = nodes.object_files(path) if files is None else files
    faults = []
    for sop, (_, _, crc) in acks.items():
        found = files.get(sop, [])
        versions = isinstance(crc, set)
        if not found or (not versions and len(found) != 1):
            faults.append(f"{sop}: acknowledged, {len(found)} files")
            continue
        held = {crc_of(name, sop) for name in found}
        if not (crc if versions else {crc}) <= held:
            faults.append(f"{sop}: {found} hold other bytes than were sent")
    return faults


def verify(node):
    """`vitrine verify` finds no fault: no orphan row, no orphan file, every digest right."""
    done = node.cli("verify", "--json")
    if done.returncode == 0:
        return []
    said = (done.stdout + done.stderr).strip().splitlines()
    return [f"vitrine verify ended with {done.returncode}: " + " | ".join(said[:5])]
