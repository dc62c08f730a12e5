#!/usr/bin/python3
"""Every kind of sync of an ingest matters: with any of them counted as not made, a power cut loses something, and the test says
so. What an ingest shows by chance only is proved call by call in powercut_sites_test.py."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import powercut_test  # noqa: E402

CLASSES = ("journal-file", "staging-file", "staging-folder", "syncfs")

if __name__ == "__main__":
    sys.argv[1:] = [word for name in CLASSES for word in ("--mutate", name)] + sys.argv[1:]
    sys.exit(powercut_test.main())
