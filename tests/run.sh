#!/usr/bin/env bash
# Runs all the tests. Arguments go to `cargo test`, such as: tests/run.sh --test daemon callback
#
# Without arguments, what an organisation goes through is run again on each database server. Servers are started for
# that and stopped again; TEST_POSTGRES_URL, TEST_MARIADB_URL and TEST_MYSQL_URL name ones that are there already.
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

# In memory where there is room: a disk that others use as well stands still for seconds at a time, and no test asks
# whether a database survives the loss of power.
memory=/dev/shm
room=$(df --output=avail "$memory" 2>/dev/null | tail -n 1) || room=0
options=$(findmnt --noheadings --output OPTIONS --target "$memory" 2>/dev/null) || options=noexec
if [ -z "${TMPDIR:-}" ] && ((room > 4 << 20)) && [[ ,$options, != *,noexec,* ]]; then
  export TMPDIR=$memory
fi

# shellcheck source=tests/servers.sh
. tests/servers.sh
trap stop_servers EXIT
start_servers

# More at a time than cores: much of a test is waiting. But each has daemons of its own, and patience has an end.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-6}"
cargo test --locked "$@"
[ $# = 0 ] || exit 0

# One after another: two at a time are more than two cores can bear.
for engine in postgres mariadb mysql; do
  url="TEST_${engine^^}_URL"
  [ -n "${!url:-}" ] || continue
  echo "on $engine:"
  DINGSYNC_TEST_ENGINE=$engine cargo test --locked --test daemon -- \
    live:: events:: hostile:: catch_up:: apply:: pull::everybody pull::changes
done

echo "the rights of deploy/sql:"
tests/grants.sh target/debug/dingsync
