#!/usr/bin/python3
"""Includes go only along the arrows of docs/architecture.md. Reads the include lines of every source and fails on any other arrow,
on C++ or a DCMTK header outside dicom/*.cc, and on a room that the table does not know."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# What archive, media and console may see of the bridge: data, never the network.
DATA = {"dicom/header.h", "dicom/element.h", "dicom/dataset.h", "dicom/json.h", "dicom/json_read.h", "dicom/transcode.h", "dicom/text.h", "dicom/tags.h", "dicom/uids.h", "dicom/command.h"}
ARROWS = {
    "core": set(),
    "dicom": {"core"},
    "archive": {"core"} | DATA,
    "media": {"archive", "core", "dicom"},
    "scu": {"dicom", "core"},
    "scp": {"archive", "scu", "dicom", "core"},
    "hypervisor": {"core"},
    "poolsim": {"hypervisor/xmlrpc.h", "core"},
    "console": {"archive", "media", "scu", "hypervisor/client.h", "dicom/render.h", "core"} | DATA,
}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def faults_of(path: pathlib.Path) -> list:
    relative = path.relative_to(ROOT)
    room = relative.parts[0]
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        kind, target = match.groups()
        where = f"{relative}:{number}"
        if target.startswith("dcmtk/") and not (room == "dicom" and relative.suffix in (".cc", ".hh")):
            found.append(f"{where}: DCMTK outside dicom/*.cc: {target}")
        if kind == "<" or room in ("cmd", "tests", "tools"):
            continue
        to = target.split("/")[0]
        allowed = ARROWS[room]
        if "/" not in target:
            found.append(f"{where}: include from the root, not '{target}'")
        elif to != room and to not in allowed and target not in allowed:
            found.append(f"{where}: no arrow from {room} to {target}")
    return found


def main() -> int:
    found = []
    sources = [p for p in ROOT.glob("*/**/*") if p.suffix in (".c", ".h", ".cc", ".hh", ".cpp") and p.parts[len(ROOT.parts)] not in ("build", "var", ".git")]
    for path in sources:
        room = path.relative_to(ROOT).parts[0]
        if room not in ARROWS and room not in ("cmd", "tests", "tools"):
            found.append(f"{path.relative_to(ROOT)}: '{room}' is not a room of the house")
            continue
        if path.suffix in (".cc", ".hh", ".cpp") and room not in ("dicom", "tests"):
            found.append(f"{path.relative_to(ROOT)}: C++ outside dicom/")
        found += faults_of(path)
    print("\n".join(found) or f"{len(sources)} files, every include along an arrow")
    return 1 if found or not sources else 0


if __name__ == "__main__":
    sys.exit(main())
