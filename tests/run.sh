#!/usr/bin/env bash
# Runs all the tests. Arguments go to `cargo test`, such as: tests/run.sh --test daemon callback
#
# Missing system packages are installed where apt is there and this user may use it; else they are named.
set -euo pipefail
cd "$(dirname "$0")/.."

install() {
  local packages=("$@") sudo=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null && sudo=(sudo -n)
  fi
  if ! command -v apt-get >/dev/null || { [ "$(id -u)" != 0 ] && [ ${#sudo[@]} = 0 ]; }; then
    echo "tests/run.sh: please install: ${packages[*]}" >&2
    exit 1
  fi
  echo "installing ${packages[*]}"
  "${sudo[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
}

command -v cargo >/dev/null || { echo "tests/run.sh: please install Rust: https://rustup.rs" >&2; exit 1; }
command -v cc >/dev/null || install gcc libc6-dev
# Other people's Python client is one of the programs that the tests talk to.
python3 -c 'import ensurepip, venv' 2>/dev/null || install python3 python3-venv

# Most of a test's time is waiting: for reads that are due later, for processes that start.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-16}"
cargo test --locked "$@"
