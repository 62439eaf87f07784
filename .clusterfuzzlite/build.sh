#!/usr/bin/env bash
# Builds the fuzz targets in the form that OSS-Fuzz and ClusterFuzzLite require: for each a binary in
# $OUT, its seeds as a zip, the dictionary and the options. fuzz/run calls it too, and runs the result.
set -euo pipefail
# The engine starts a copy of this script, in the project's folder.
[ -d fuzz ] || cd "$(dirname "$0")/.."
: "${OUT:?the folder to put the fuzzers into}"
mkdir -p "$OUT"
export RUSTUP_TOOLCHAIN=${RUSTUP_TOOLCHAIN:-nightly}

built=$(realpath -m "${CARGO_TARGET_DIR:-fuzz/target}/fuzz")
options=(--target-dir "$built" --debug-assertions)
[ "${SANITIZER:-}" != none ] || options+=(--sanitizer none)
cargo fuzz build "${options[@]}"
triple=$(rustc -vV | sed -n 's/^host: //p')

for file in fuzz/fuzz_targets/*.rs; do
    target=$(basename "$file" .rs)
    cp "$built/$triple/release/$target" "$OUT/"
    seeds=("fuzz/corpus/$target"/* "fuzz/regressions/$target"/*)
    for i in "${!seeds[@]}"; do
        [ -f "${seeds[i]}" ] || unset "seeds[i]" # a pattern without a file
    done
    rm -f "$OUT/${target}_seed_corpus.zip"
    python3 -m zipfile -c "$OUT/${target}_seed_corpus.zip" "${seeds[@]}"
    printf '[libfuzzer]\nmax_len = 1024\ndict = unstick.dict\n' >"$OUT/$target.options"
done
cp fuzz/unstick.dict "$OUT/"
