#!/usr/bin/env bash
# Fuzzes the parsers: tests/fuzz/run.sh [SECONDS A TARGET]. Needs a C++ compiler, and nothing that is not in stable Rust:
# coverage comes from LLVM's own pass.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-30}
target=$(rustc -vV | sed -n 's/^host: //p')
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares"
# Half a minute of fuzzing does not pay for the optimiser.
profile=dev folder=debug
if [ "$seconds" -ge 60 ]; then profile=release folder=release; fi
cargo build --locked --profile "$profile" --quiet --target "$target"
for name in callback answer; do
  mkdir -p "corpus/$name" "artifacts/$name"
  echo "fuzzing $name for $seconds s"
  "target/$target/$folder/$name" -max_total_time="$seconds" -max_len=4096 -print_final_stats=1 \
    -artifact_prefix="artifacts/$name/" -dict=json.dict "corpus/$name" 2>&1 | tail -n 12
done
