#!/usr/bin/python3
"""tools/test_summary.py FILE...: the last line of ./check, from ctest's JUnit files: what passed, what was skipped, what failed, by name.

Skipped is a test that ended with its SKIP_RETURN_CODE, or single cases of a cmocka program that said skip(): those are named
PROGRAM:CASE, and the program itself counts as passed. Exit status: 0 nothing failed and something ran."""
import re
import sys
import xml.etree.ElementTree as xml

CASE = re.compile(r"^\[  SKIPPED \] (?!\d+ test\(s\))(\S+)", re.MULTILINE)


def read(path):
    """(passed, skipped, failed), names each."""
    passed, skipped, failed = [], [], []
    for case in xml.parse(path).getroot().iter("testcase"):
        name = case.get("name")
        if case.find("skipped") is not None and case.get("status") != "fail":
            # ctest says "skipped" of what it could not start as well: that is no skip.
            told = case.find("skipped").get("message") or ""
            (skipped if told.startswith("SKIP_") else failed).append(name)
        elif case.get("status") == "run":
            passed.append(name)
            skipped += [f"{name}:{one}" for one in dict.fromkeys(CASE.findall(case.findtext("system-out") or ""))]
        else:
            failed.append(name)
    return passed, skipped, failed


def main():
    passed, skipped, failed = [], [], []
    for path in sys.argv[1:]:
        try:
            found = read(path)
        except (OSError, xml.ParseError) as e:
            found = [], [], [f"{path} ({e})"]
        for whole, part in zip((passed, skipped, failed), found):
            whole += part
    done = f"passed {len(passed)} tests, {len(skipped)} skipped" + (": " + ", ".join(skipped) if skipped else "")
    if failed or not passed:
        print(f"check: FAILED {len(failed)} tests: {', '.join(failed) or 'none ran'}; {done}")
        return 1
    print(f"check: {done}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
