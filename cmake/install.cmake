# Filled beside the programs: see cmd/CMakeLists.txt, conf/ and docs/man/.
