#!/usr/bin/env bash
# Real database servers for tests and benchmarks: PostgreSQL, MariaDB and Oracle's MySQL, each with fresh data in a
# temporary folder, on a free port of 127.0.0.1.
#
#   tests/servers.sh COMMAND…    starts them, runs COMMAND, stops them, ends with COMMAND's exit code
#
#   . tests/servers.sh           the same in another script
#   trap stop_servers EXIT
#   start_servers
#
# COMMAND sees TEST_POSTGRES_URL, TEST_MARIADB_URL and TEST_MYSQL_URL. One that is set already is left as it is, and no
# server is started for it. For each server started there is TEST_…_CONTROL too, a program: `stop` (in order), `kill`
# (as a crash) and `start` (the same data, the same port); the file `pid` beside it holds the process, `log` its words.
#
# SAFE=1                 the servers write as in production; else they are told not to wait for the disk
# TMPDIR                 where the temporary folder is made
# DINGSYNC_TEST_CACHE    where MySQL's unpacked packages are kept; else dingsync-tests in the user's cache folder
#
# Missing system packages are installed where apt is there and this user may use it; else they are named.

[ "${servers_owner:-}" = "$BASHPID" ] || {
  servers_owner=$BASHPID
  servers_folder=''   # all that is temporary
  servers_names=()    # the servers that have a place in it
  servers_password='' # of them all
  declare -gA servers_starting=()
}

servers_say() { echo "tests/servers.sh: $*" >&2; }

# When a process began, in the kernel's ticks; fails for one that is gone or only waits to be buried.
servers_since() {
  local line fields
  { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
  read -ra fields <<<"${line##*) }"
  [ "${fields[0]-Z}" != Z ] && echo "${fields[19]-}"
}

# --- One server. These functions are copied into its control script, which sets here, title, hint, init and serve. ---

server_alive() {
  local process since
  { read -r process <"$here/pid" && read -r since <"$here/since"; } 2>/dev/null || return 1
  [ "$(servers_since "$process")" = "$since" ]
}

# Those of the given processes that are still there.
server_remains() {
  local process
  for process in "$@"; do
    servers_since "$process" >/dev/null && return 0
  done
  return 1
}

# Waits so many seconds at most until a command succeeds.
server_until() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < end)) || return 1
    sleep 0.02
  done
}

# In a session of its own, so that Ctrl-C leaves it to whoever stops it.
server_launch() {
  cat "$here/log" >>"$here/log.old" 2>/dev/null || true
  rm -f "$here/since"
  # Emptied before, since what the last one said must not be read as its own.
  : >"$here/log"
  setsid "$@" </dev/null >>"$here/log" 2>&1 9>&- &
  echo $! >"$here/pid"
  servers_since $! >"$here/since" || true
  disown
}

server_ready() { grep -Eq 'ready (for|to accept) connections' "$here/log"; }

server_port_taken() { grep -q 'Address already in use' "$here/log"; }

server_settled() { [ -n "$interrupted" ] || ! server_alive || server_ready; }

server_ended() { [ -n "$interrupted" ] || ! server_alive; }

server_gone() { ! server_alive; }

server_stop() {
  server_alive || return 0
  kill -s "$stop_signal" "$(<"$here/pid")"
  server_until 60 server_gone || {
    servers_say "$title does not stop; kill it: $here/control kill"
    return 1
  }
}

server_kill() {
  local process stat line fields family killed=() segment end=$((SECONDS + 30))
  if server_alive; then
    process=$(<"$here/pid")
    # Held still, so that it has no more children while they are counted. Those of its session may have some.
    kill -STOP "$process" 2>/dev/null || true
    while :; do
      family=()
      for stat in /proc/[0-9]*/stat; do
        { read -r line <"$stat"; } 2>/dev/null || continue
        read -ra fields <<<"${line##*) }"
        # Its number, parent and session.
        [[ ${fields[0]} != Z && " ${line%% *} ${fields[1]-} ${fields[3]-} " == *" $process "* ]] || continue
        family+=("${line%% *}")
      done
      killed+=("${family[@]}")
      server_remains "${killed[@]}" || break
      ((SECONDS < end)) || {
        servers_say "$title cannot be killed, process $process"
        return 1
      }
      kill -KILL "${family[@]}" 2>/dev/null || true
      sleep 0.02
    done
  fi
  # The one thing that a killed PostgreSQL leaves outside its folder.
  if segment=$(sed -n 7p "$here/data/postmaster.pid" 2>/dev/null) && [ -n "$segment" ]; then
    ipcrm -m "${segment##* }" 2>/dev/null || true
  fi
  rm -f "${locks[@]}"
}

# The servers look at their locks as well, and take a process for alive until its parent has noticed its end.
server_unlocked() {
  local lock
  [ -e "$here/pid" ] && [ -e "/proc/$(<"$here/pid")" ] || return 0
  for lock in "${locks[@]}"; do
    [ ! -e "$lock" ] || return 1
  done
}

server_failed() {
  server_kill
  [ -z "$interrupted" ] || exit 143
  servers_say "$title $1:"
  { grep -iE 'error|fatal|in use' "$here/log" || tail -n 15 "$here/log"; } >&2
  servers_say "$hint"
  return 1
}

# Below the ports that the system gives to anybody who asks: there a server finds its own again after it was away.
server_free_port() {
  local first=10000 end port
  read -r end _ </proc/sys/net/ipv4/ip_local_port_range || end=32768
  ((end >= first + 5000)) || first=20000 end=60000
  while :; do
    port=$((first + (RANDOM << 15 | RANDOM) % (end - first)))
    (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  echo "$port"
}

server_start() {
  local port attempt
  server_alive && return 0
  cd "$here"
  server_until 10 server_unlocked || true
  if [ ! -e initialised ]; then
    server_launch bash -c '"$@" && : >initialised' - "${init[@]}"
    server_until 120 server_ended || true
    if [ -n "$interrupted" ] || [ ! -e initialised ]; then
      server_failed "cannot make its data"
      return 1
    fi
    rm -f secret
  fi
  for attempt in 1 2 3 4 5; do
    port=$(cat port 2>/dev/null) || port=$(server_free_port)
    server_launch "${serve[@]}" --port="$port"
    server_until 120 server_settled || true
    if [ -z "$interrupted" ] && server_ready && server_alive; then
      echo "$port" >port
      return 0
    fi
    # Somebody else took a port that seemed free; another does as well, unless clients know this one.
    if [ -e port ] || [ -n "$interrupted" ] || [ "$attempt" = 5 ] || ! server_port_taken; then
      break
    fi
  done
  ! server_port_taken || hint="another program has the port; stop it first"
  server_failed "does not start on port $port"
}

server_control() {
  # A start that is interrupted takes back what it has begun.
  interrupted=''
  locks=("$here/data/postmaster.pid" "$here/data/server.sock.lock")
  trap 'interrupted=1' HUP INT TERM
  exec 9>>"$here/lock"
  flock -w 300 9 || {
    servers_say "another start or stop of $title does not end"
    exit 1
  }
  case "$#:${1-}" in
    1:start) server_start ;;
    1:stop) server_stop ;;
    1:kill) server_kill ;;
    *)
      echo "usage: $0 start|stop|kill" >&2
      exit 64
      ;;
  esac
}

# --- Finding and installing. ---

servers_install() {
  local sudo=() words
  [ "$(id -u)" = 0 ] || sudo=(sudo -n)
  if command -v apt-get >/dev/null && "${sudo[@]}" true 2>/dev/null; then
    servers_say "installing $*"
    words=$(
      "${sudo[@]}" apt-get update -qq 2>&1 || true
      "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o DPkg::Lock::Timeout=300 "$@" 2>&1
    ) && return 0
    grep -E '^(E|W|dpkg):' <<<"$words" >&2 || true
  fi
  servers_say "please install: $*"
  return 1
}

servers_postgres_bin() {
  local initdb bin
  initdb=$(command -v initdb) && bin=$(dirname "$(readlink -f "$initdb")") && [ -x "$bin/postgres" ] ||
    bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
  [ -x "$bin/initdb" ] && [ -x "$bin/postgres" ] && echo "$bin"
}

# Debian's package makes a server of its own and starts it, unless it is told not to.
servers_install_postgres() {
  local file=/etc/postgresql-common/createcluster.d/dingsync-tests.conf sudo=() code=0
  [ "$(id -u)" = 0 ] || sudo=(sudo -n)
  if command -v apt-get >/dev/null && "${sudo[@]}" mkdir -p "${file%/*}" 2>/dev/null; then
    echo 'create_main_cluster = false' | "${sudo[@]}" tee "$file" >/dev/null
  fi
  servers_install postgresql || code=1
  "${sudo[@]}" rm -f "$file" 2>/dev/null || true
  return "$code"
}

# Sets mariadbd and install_db.
servers_find_mariadb() {
  local PATH="$PATH:/usr/local/sbin:/usr/sbin"
  mariadbd=$(command -v mariadbd) && install_db=$(command -v mariadb-install-db) &&
    command -v my_print_defaults >/dev/null
}

# The machine's own sources of Debian packages, for the suite sid.
servers_sid_sources() {
  local to=$1 suite='' suites file
  suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release 2>/dev/null) || true
  suites=" ${suite:-stable} oldstable stable testing unstable sid "
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -f "$file" ] && sed 's/#.*//' "$file"
  done | awk -v suites="$suites" '
    $1 == "deb" {
      options = ""
      if (match($0, /\[[^]]*\]/)) {
        options = substr($0, RSTART, RLENGTH) " "
        $0 = substr($0, 1, RSTART - 1) " " substr($0, RSTART + RLENGTH)
      }
      if (index(suites, " " $3 " ") && index($0 " ", " main ")) print "deb " options $2 " sid main"
    }' >"$to/sid.list"
  for file in /etc/apt/sources.list.d/*.sources; do
    [ -f "$file" ] && sed 's/[[:space:]]*$//' "$file" && echo
  done | awk -v suites="$suites" '
    function flush(  words, count, i, fits) {
      count = split(tolower(field["suites"]), words)
      for (i = 1; i <= count; i++) if (index(suites, " " words[i] " ")) fits = 1
      if (fits && index(" " field["types"] " ", " deb ") && index(" " field["components"] " ", " main ") &&
          tolower(field["enabled"]) !~ /^(no|false|0|off)$/)
        print "Types: deb\nSuites: sid\nComponents: main\nTargets: Packages\n" rest
      split("", field)
      rest = name = ""
    }
    /^#/ { next }
    NF == 0 { flush(); next }
    /^[^[:space:]]/ { name = tolower(substr($0, 1, index($0, ":") - 1)); field[name] = "" }
    { value = $0; if (value !~ /^[[:space:]]/) sub(/^[^:]*:/, "", value)
      field[name] = field[name] " " value; sub(/^ +/, "", field[name]) }
    name !~ /^(types|suites|components|targets|enabled)$/ { rest = rest $0 "\n" }
    END { flush() }' >"$to/sid.sources"
}

# Brings Oracle's MySQL and all that it needs from Debian's sid into a folder. Nothing of it is installed, and the
# system's own lists and caches stay as they are.
servers_fetch_mysql() {
  local to=$1 apt=$1/apt package
  mkdir -p "$apt"/{sources,preferences,lists/partial,archives/partial} "$to/unpacked" "$to/tree/usr/share" || return 1
  : >"$apt/status"
  servers_sid_sources "$apt/sources"
  local get=(
    apt-get -qq
    -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$apt/sources"
    -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts="$apt/preferences"
    -o Dir::State="$apt" -o Dir::State::lists="$apt/lists" -o Dir::State::status="$apt/status"
    -o Dir::Cache="$apt" -o Dir::Cache::archives="$apt/archives"
    -o APT::Default-Release= -o APT::Sandbox::User=root
    -o Acquire::Languages=none -o Acquire::Retries=2 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30
  )
  { "${get[@]}" update || true; "${get[@]}" -y --download-only --no-install-recommends install mysql-server-core; } \
    >"$to/words" 2>&1 || return 2
  for package in "$apt"/archives/*.deb; do
    dpkg-deb -x "$package" "$to/unpacked" 2>>"$to/words" || return 1
  done
  mv "$to/unpacked/usr/lib" "$to/unpacked/usr/sbin" "$to/tree/usr/" &&
    mv "$to/unpacked/usr/share/mysql" "$to/tree/usr/share/"
}

# Sets mysql_tree; leaves it empty where there is no way to Debian's sid.
servers_find_mysql() {
  local cache="${DINGSYNC_TEST_CACHE:-${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/dingsync-tests}" tree code=0
  mysql_tree=''
  if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    servers_say "no MySQL: only Debian's apt-get and dpkg-deb bring it." \
      "The suite runs on MariaDB alone; TEST_MYSQL_URL names a MySQL server"
    return 0
  fi
  if ! mkdir -p "$cache" || ! cache=$(cd "$cache" && pwd); then
    servers_say "cannot use $cache; name another folder in DINGSYNC_TEST_CACHE"
    return 1
  fi
  tree="$cache/mysql-$(dpkg --print-architecture)"
  if [ ! -d "$tree" ]; then
    (
      flock 9
      [ ! -d "$tree" ] || exit 0
      servers_say "fetching MySQL from Debian's sid into $tree, about 60 MB"
      trap 'rm -rf "$tree.part"' EXIT
      umask 022
      rm -rf "$tree.part"
      mkdir "$tree.part" || exit 1
      servers_fetch_mysql "$tree.part" && mv "$tree.part/tree" "$tree" && exit
      code=$?
      grep -E '^[EW]:|error' "$tree.part/words" | head -n 5 >&2
      exit "$code"
    ) 9>>"$cache/lock" || code=$?
  fi
  case "$code" in
    0) mysql_tree=$tree ;;
    2)
      servers_say "no MySQL: Debian's sid cannot be reached or does not have it." \
        "The suite runs on MariaDB alone; TEST_MYSQL_URL names a MySQL server"
      ;;
    *)
      servers_say "cannot write to $cache; name another folder in DINGSYNC_TEST_CACHE"
      return 1
      ;;
  esac
}

# --- Places in the temporary folder. ---

servers_make_folder() {
  local base namespace owner=$BASHPID
  [ -z "$servers_folder" ] || return 0
  base=$(cd "${TMPDIR:-/tmp}" && pwd) || return 1
  namespace=$(readlink /proc/self/ns/pid) || true
  servers_sweep "$base" "$namespace"
  servers_folder=$(mktemp -d "$base/dingsync-servers.XXXXXX") || return 1
  echo "$owner $(servers_since "$owner") $namespace" >"$servers_folder/owner"
  chmod 711 "$servers_folder"
  if [ "${SAFE:-0}" != 0 ] && [ "$(stat -f -c %T "$servers_folder")" = tmpfs ]; then
    servers_say "SAFE=1 in memory: $base is no disk; name a folder on one in TMPDIR"
  fi
}

# What a run left that was killed before it could stop its servers.
servers_sweep() {
  local folder control process since namespace
  for folder in "$1"/dingsync-servers.*; do
    [ -O "$folder" ] || continue
    { read -r process since namespace <"$folder/owner"; } 2>/dev/null || continue
    if [ "$namespace" != "$2" ] || [ "$(servers_since "$process")" = "$since" ]; then
      continue
    fi
    for control in "$folder"/*/control; do
      [ ! -x "$control" ] || "$control" kill || true
    done
    rm -rf "$folder"
  done
}

# Sets here, and as: how to run a program of this server, as the first of the given users that exists if this is root.
servers_place() {
  local name=$1 user='' candidate
  shift
  servers_make_folder || {
    servers_say "cannot make a folder in ${TMPDIR:-/tmp}; name another in TMPDIR"
    return 1
  }
  here=$servers_folder/$name
  as=(env -i "PATH=$PATH" LC_ALL=C "HOME=$here/tmp" "TMPDIR=$here/tmp")
  (umask 022 && mkdir "$here" "$here/tmp" && mkdir -m 700 "$here/data") || return 1
  (umask 077 && : >"$here/secret") || return 1
  if [ "$(id -u)" = 0 ]; then
    for candidate in "$@" nobody; do
      id -u "$candidate" >/dev/null 2>&1 && user=$candidate && break
    done
    if [ -z "$user" ]; then
      servers_say "no database server runs as root; please add a user: useradd --system $1"
      return 1
    fi
    as+=(setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups)
    chown "$user" "$here/tmp" "$here/data" "$here/secret" || return 1
    if ! "${as[@]}" test -w "$here/data"; then
      servers_say "user $user cannot reach $servers_folder; name a folder for everybody in TMPDIR, such as /tmp"
      return 1
    fi
  fi
  servers_names+=("$name")
}

servers_write_control() {
  local title=$1 stop_signal=$2 hint=$3 functions
  mapfile -t functions < <(compgen -A function server_)
  {
    printf '#!/usr/bin/env bash\n# stop|kill|start: takes %s away and brings it back.\nset -euo pipefail\n' "$title"
    declare -p here title stop_signal hint init serve
    declare -f servers_say servers_since "${functions[@]}"
    echo 'server_control "$@"'
  } >"$here/control"
  chmod 755 "$here/control"
}

servers_add_postgres() {
  local bin here as init serve fast=()
  bin=$(servers_postgres_bin) || { servers_install_postgres && bin=$(servers_postgres_bin); } || return 1
  servers_place postgres postgres || return 1
  printf '%s\n' "$servers_password" >"$here/secret"
  [ "${SAFE:-0}" != 0 ] || fast=(--fsync=off --full-page-writes=off --synchronous-commit=off)
  init=("${as[@]}" "$bin/initdb" --pgdata="$here/data" --username=postgres --pwfile="$here/secret"
    --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 ${fast:+--no-sync})
  # Memory that it shares by files stays in its folder, whatever end it has.
  serve=("${as[@]}" "$bin/postgres" -D "$here/data" --listen-addresses=127.0.0.1 --unix-socket-directories=
    --max-connections=300 --shared-buffers=64MB --dynamic-shared-memory-type=mmap "${fast[@]}")
  servers_write_control PostgreSQL INT "please check the package postgresql, or name a server in TEST_POSTGRES_URL"
}

# What MariaDB and MySQL have alike, and the one option by which this one does not wait for the disk. Nobody uses the
# socket; its path is seen from the data, since a long one is refused.
servers_mysql_options() {
  options=(--datadir="$here/data" --socket=server.sock --pid-file=server.pid --bind-address=127.0.0.1
    --skip-name-resolve --max-connections=300 --innodb-buffer-pool-size=128M --performance-schema=OFF)
  [ "${SAFE:-0}" != 0 ] ||
    options+=(--skip-log-bin --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=OFF "$1")
  cat >"$here/secret" <<SQL
FLUSH PRIVILEGES;
CREATE USER 'dingsync'@'%' IDENTIFIED BY '$servers_password';
GRANT ALL PRIVILEGES ON *.* TO 'dingsync'@'%' WITH GRANT OPTION;
SQL
}

servers_add_mariadb() {
  local mariadbd install_db here as init serve options
  # The cores alone: they have no service that the system would start.
  servers_find_mariadb ||
    { servers_install mariadb-server-core mariadb-client-core && servers_find_mariadb; } || return 1
  servers_place mariadb mysql || return 1
  servers_mysql_options --debug-no-sync
  options+=(--innodb-log-file-size=128M --character-set-server=utf8mb4)
  init=("${as[@]}" "$install_db" --no-defaults --skip-test-db --extra-file="$here/secret" "${options[@]}")
  serve=("${as[@]}" "$mariadbd" --no-defaults "${options[@]}")
  servers_write_control MariaDB TERM \
    "please check the packages mariadb-server-core and mariadb-client-core, or name a server in TEST_MARIADB_URL"
}

servers_add_mysql() {
  local mysql_tree usr here as init serve options loader libraries run
  unset TEST_MYSQL_URL
  servers_find_mysql || return 1
  [ -n "$mysql_tree" ] || return 0
  servers_place mysql mysql || return 1
  usr=$mysql_tree/usr
  # A user's cache folder is his own; whom root's server runs as gets there by another way.
  if ! "${as[@]}" test -x "$usr/sbin/mysqld"; then
    usr=$here/usr
    cp -al "$mysql_tree/usr" "$usr" 2>/dev/null || { rm -rf "$usr" && cp -a "$mysql_tree/usr" "$usr"; } || return 1
  fi
  servers_mysql_options --innodb-flush-method=nosync
  echo "ALTER USER 'root'@'localhost' ACCOUNT LOCK;" >>"$here/secret"
  options+=(--innodb-redo-log-capacity=128M --mysqlx=OFF --secure-file-priv=NULL)
  for loader in "$usr"/lib/*/ld-linux*.so.*; do :; done
  libraries=$(dirname "$loader"):$usr/lib/mysql/private
  run=("${as[@]}" "$loader" --library-path "$libraries" "$usr/sbin/mysqld" --no-defaults --basedir="$usr"
    --plugin-dir="$usr/lib/mysql/plugin" --lc-messages-dir="$usr/share/mysql"
    --character-sets-dir="$usr/share/mysql/charsets")
  init=("${run[@]}" --initialize-insecure --init-file="$here/secret" "${options[@]}")
  serve=("${run[@]}" "${options[@]}")
  servers_write_control MySQL TERM "to fetch it anew, remove $mysql_tree; or name a server in TEST_MYSQL_URL"
}

# --- What others call. ---

servers_begin() {
  local name port code=0 programs=() program
  for program in setsid setpriv flock; do
    command -v "$program" >/dev/null || programs+=("$program")
  done
  if [ ${#programs[@]} != 0 ]; then
    servers_say "${programs[*]} missing; please install: util-linux"
    return 1
  fi
  [ -n "$servers_password" ] || servers_password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  [ -n "${TEST_POSTGRES_URL:-}" ] || servers_add_postgres || return 1
  [ -n "${TEST_MARIADB_URL:-}" ] || servers_add_mariadb || return 1
  [ -n "${TEST_MYSQL_URL:-}" ] || servers_add_mysql || return 1
  for name in "${servers_names[@]}"; do
    "$servers_folder/$name/control" start &
    servers_starting[$name]=$!
  done
  for name in "${servers_names[@]}"; do
    wait "${servers_starting[$name]}" || code=1
    unset "servers_starting[$name]"
  done
  [ "$code" = 0 ] || return 1
  for name in "${servers_names[@]}"; do
    port=$(<"$servers_folder/$name/port")
    case "$name" in
      postgres) export "TEST_POSTGRES_URL=postgres://postgres:$servers_password@127.0.0.1:$port/postgres" ;;
      *) export "TEST_${name^^}_URL=mysql://dingsync:$servers_password@127.0.0.1:$port/mysql" ;;
    esac
    export "TEST_${name^^}_CONTROL=$servers_folder/$name/control"
  done
}

servers_die() {
  trap '' HUP INT TERM
  stop_servers
  trap - "$1"
  kill -s "$1" "$BASHPID"
}

start_servers() {
  local signal signals=() code=0
  # What runs meanwhile may take a signal for itself alone, or go on for a moment when this shell is dead: the EXIT trap
  # comes for certain, and after it has ended.
  for signal in HUP INT TERM; do
    [ -z "$(trap -p "$signal")" ] || continue
    # shellcheck disable=SC2064
    trap "servers_die $signal" "$signal"
    signals+=("$signal")
  done
  servers_begin || code=1
  for signal in "${signals[@]}"; do
    trap - "$signal"
  done
  [ "$code" = 0 ] || stop_servers
  return "$code"
}

stop_servers() {
  local name traps
  [ -n "$servers_folder" ] || return 0
  # A second Ctrl-C must not leave half of them running.
  traps=$(trap -p HUP INT TERM)
  trap '' HUP INT TERM
  for name in "${!servers_starting[@]}"; do
    kill "${servers_starting[$name]}" 2>/dev/null || true
  done
  for name in "${!servers_starting[@]}"; do
    wait "${servers_starting[$name]}" 2>/dev/null || true
  done
  for name in "${servers_names[@]}"; do
    [ ! -x "$servers_folder/$name/control" ] || "$servers_folder/$name/control" kill || true
    unset "TEST_${name^^}_URL" "TEST_${name^^}_CONTROL"
  done
  rm -rf "$servers_folder" || true
  servers_folder=''
  servers_names=()
  servers_starting=()
  trap - HUP INT TERM
  eval "$traps"
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  set -euo pipefail
  if [ $# = 0 ]; then
    echo "usage: tests/servers.sh COMMAND…" >&2
    exit 64
  fi
  trap stop_servers EXIT
  start_servers
  "$@"
  exit
fi
