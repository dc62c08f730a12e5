#!/usr/bin/python3
"""The last line of ./check names what was skipped and what failed, apart from what passed: asked of a real ctest run."""
import os
import pathlib
import subprocess
import sys
import tempfile

SUMMARY = pathlib.Path(os.environ["VT_SOURCE_DIR"]) / "tools/test_summary.py"
TESTS = {
    "core/good": ("/bin/true", ""),
    "core/parts": ("/bin/printf;[  SKIPPED ] needs_root\\n[  SKIPPED ] 1 test(s), listed below:\\n[  SKIPPED ] needs_root\\n", ""),
    "faults/no_root": ("/bin/sh;-c;exit 77", "SKIP_RETURN_CODE 77"),
    "core/bad": ("/bin/false", ""),
    "core/gone": ("/nowhere/at/all", ""),
    "core/slow": ("/bin/sleep;9", "TIMEOUT 1"),
}


def summary(names):
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder, "report.xml")
        with open(f"{folder}/CTestTestfile.cmake", "w") as file:
            for name in names:
                words = " ".join(f"[==[{word}]==]" for word in TESTS[name][0].replace("\\n", "\n").split(";"))
                file.write(f"add_test({name} {words})\n")
                if TESTS[name][1]:
                    file.write(f"set_tests_properties({name} PROPERTIES {TESTS[name][1]})\n")
        subprocess.run(["ctest", "--test-dir", folder, "--output-junit", str(report), "--no-tests=ignore"], capture_output=True, timeout=60)
        done = subprocess.run([SUMMARY, report], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout.strip()


def equal(found, wanted):
    if found != wanted:
        sys.exit(f"{found}\nis not\n{wanted}")


equal(summary(["core/good"]), (0, "check: passed 1 tests, 0 skipped"))
equal(summary(["core/good", "core/parts", "faults/no_root"]),
      (0, "check: passed 2 tests, 2 skipped: core/parts:needs_root, faults/no_root"))
equal(summary(list(TESTS)),
      (1, "check: FAILED 3 tests: core/bad, core/gone, core/slow; passed 2 tests, 2 skipped: core/parts:needs_root, faults/no_root"))
equal(summary([]), (1, "check: FAILED 0 tests: none ran; passed 0 tests, 0 skipped"))
print("the summary names what passed, was skipped and failed")
