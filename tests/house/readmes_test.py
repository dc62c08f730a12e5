#!/usr/bin/python3
"""Every room with sources has a README of one screen, and the project's text names no folder of the machine it was written on."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROOMS = ["core", "dicom", "archive", "media", "scp", "scu", "hypervisor", "poolsim", "console", "cmd", "tests"]
SCREEN = 70
FOREIGN = re.compile(r"(?<![\w.])/(?:work|root|farm)/|/home/\w")


def tracked() -> list:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        return [p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*") if p.is_file() and "build" not in p.parts]
    return listed.stdout.split("\n")[:-1]


def main() -> int:
    faults = []
    files = tracked()
    for room in ROOMS:
        if not any(f.startswith(room + "/") and f.endswith((".c", ".cc")) for f in files):
            continue
        readme = ROOT / room / "README.md"
        if not readme.exists():
            faults.append(f"{room}/: no README.md")
        elif len(readme.read_text(encoding="utf-8").splitlines()) > SCREEN:
            faults.append(f"{room}/README.md: more than a screen ({SCREEN} lines)")
    for name in files:
        path = ROOT / name
        if name == "tests/house/readmes_test.py" or not path.is_file():
            continue
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        faults += [f"{name}:{n}: names a folder of one machine" for n, line in enumerate(lines, 1) if FOREIGN.search(line)]
    print("\n".join(faults) or f"{len(files)} files")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
