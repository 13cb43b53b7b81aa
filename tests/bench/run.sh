#!/usr/bin/env bash
# Measures speed and memory, and prints the tables: tests/bench/run.sh [PART…] (tests/bench/measure.rs names the parts).
#
# PostgreSQL, MariaDB and MySQL are started with the disk waited for, as in production, and stopped again; or
# TEST_POSTGRES_URL, TEST_MARIADB_URL and TEST_MYSQL_URL name ones that are there already. The receivers that people
# write today are installed into the folder `target`. Close other programs first.
set -euo pipefail
cd "$(dirname "$0")/../.."

peers=$PWD/target/bench-peers
mkdir -p "$peers"
cp tests/bench/peers/* "$peers"
if command -v npm >/dev/null; then
  (cd "$peers" && npm install --no-package-lock --no-audit --no-fund --silent)
  [ -x "$peers/venv/bin/python" ] || python3 -m venv "$peers/venv"
  "$peers/venv/bin/pip" install --quiet --disable-pip-version-check -r "$peers/requirements.txt"
  export DINGSYNC_BENCH_PEERS=$peers
else
  echo "tests/bench/run.sh: without npm there is no comparison with other receivers" >&2
fi

cargo build --locked --benches --profile bench

export SAFE=1
# shellcheck source=tests/servers.sh
. tests/servers.sh
trap stop_servers EXIT
start_servers
cargo bench --locked --bench measure -- "$@"
