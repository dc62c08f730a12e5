#!/usr/bin/python3
"""conf/vitrine.conf, vitrine.conf(5) and the code name the same keys: what one has, the others have."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECTION = re.compile(r"^#?\[(\w+)(?: \"[^\"]*\")?\]")
KEY = re.compile(r"^#?([a-z][a-z0-9_]*) =")
ITEM = re.compile(r"(?:Ic|,) ([a-z][a-z0-9_]*)(?= No|$| ,)")
READ = re.compile(r"vt_conf_\w+\(\s*[\w>.-]+,\s*\"(\w+)\",\s*[^,\"]+,\s*\"(\w+)\"")
SOURCES = ("cmd", "core", "dicom", "archive", "scp", "scu", "media", "console", "hypervisor")


def example() -> set:
    found, section = set(), ""
    for line in (ROOT / "conf/vitrine.conf").read_text(encoding="utf-8").splitlines():
        if head := SECTION.match(line):
            section = head[1]
        elif key := KEY.match(line):
            found.add((section, key[1]))
    return found


def manual() -> set:
    found, section = set(), ""
    for line in (ROOT / "docs/man/vitrine.conf.5").read_text(encoding="utf-8").splitlines():
        if line.startswith(".Ss"):
            section = re.search(r"\[(\w+)", line)[1]
        elif line.startswith(".It Ic"):
            found |= {(section, key) for key in ITEM.findall(line)}
    return found


def quoted() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for room in SOURCES
                     for path in sorted((ROOT / room).rglob("*.c")))


def main() -> int:
    inside, told, code = example(), manual(), quoted()
    faults = [f"vitrine.conf(5) lacks [{s}] {k}" for s, k in sorted(inside - told)]
    faults += [f"conf/vitrine.conf lacks [{s}] {k}" for s, k in sorted(told - inside)]
    faults += [f"no source reads [{s}] {k}" for s, k in sorted(inside | told) if f'"{k}"' not in code]
    faults += [f"conf/vitrine.conf lacks [{s}] {k}" for s, k in sorted(set(READ.findall(code)) - inside) if s != k]
    if len(inside) < 100:
        faults.append(f"only {len(inside)} keys found in conf/vitrine.conf: this test reads it wrongly")
    print("\n".join(faults) or f"{len(inside)} keys")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
