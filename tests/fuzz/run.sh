#!/bin/bash
# tests/fuzz/run.sh [SECONDS [TARGET...]]: builds every tests/fuzz/*_fuzz.c with clang's libFuzzer, AddressSanitizer and
# UBSan, and runs each for so many seconds (10) from a corpus of its own.
#
# A target names what it needs in comment lines of its own; only the first kind must be there:
#   /* sources: dicom/command.c core/buf.c core/err.c */     may stand on several lines
#   /* libs: openssl libxml-2.0 */                           for pkg-config
#   /* max-length: 16400 */                                  of an input; 4096 without
# and may define vt_fuzz_seeds(directory), called when it is started with VT_FUZZ_SEEDS=directory, to write first inputs.
# The corpus stays in $VT_FUZZ_DIR (build/fuzz), so a later run goes on from it; what crashes is left there as well.
set -u
cd "$(dirname "$0")/../.." || exit 2
seconds=${1:-10}
shift
dir=${VT_FUZZ_DIR:-$PWD/build/fuzz}
clang=${CLANG:-clang}
if ! command -v "$clang" > /dev/null; then
    echo "fuzz: $clang is not installed; nothing was fuzzed"
    exit 77
fi
flags="-std=gnu17 -g -O1 -D_GNU_SOURCE -DVT_VERSION=\"0\" -I. -fsanitize=fuzzer,address,undefined"
flags="$flags -fno-sanitize-recover=undefined -fno-omit-frame-pointer"

words_of() {   # KIND FILE: what the comment lines of that kind say
    sed -n "s|^/\* $1: *\(.*\) \*/.*|\1|p" "$2" | tr '\n' ' '
}

run_one() {   # FILE
    local name work length libs compile=() link=()
    name=$(basename "$1" .c)
    work=$dir/$name
    mkdir -p "$work/corpus"
    length=$(words_of max-length "$1")
    libs=$(words_of libs "$1")
    if [ -n "$libs" ]; then
        # shellcheck disable=SC2086
        read -ra compile < <(pkg-config --cflags $libs) && read -ra link < <(pkg-config --libs $libs)
    fi
    # shellcheck disable=SC2046,SC2086
    "$clang" $flags "${compile[@]}" "$1" $(words_of sources "$1") -o "$work/$name" "${link[@]}" -lpthread || return 1
    VT_FUZZ_SEEDS=$work/corpus "$work/$name" -runs=0 > /dev/null 2>&1
    if ! "$work/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len="${length:-4096}" \
        -artifact_prefix="$work/" -print_final_stats=1 "$work/corpus" > "$work/log" 2>&1; then
        tail -40 "$work/log"
        echo "fuzz: $name failed; the input is in $work"
        return 1
    fi
    echo "fuzz: $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log") inputs, no crash"
}

failed=0
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    mapfile -t targets < <(cd tests/fuzz && ls ./*_fuzz.c | sed 's|^\./||; s|_fuzz\.c$||')
fi
for target in "${targets[@]}"; do
    run_one "tests/fuzz/${target}_fuzz.c" || failed=1
done
exit $failed
