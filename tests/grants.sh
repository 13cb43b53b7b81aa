#!/usr/bin/env bash
# Proves deploy/sql on real servers, PostgreSQL, MariaDB and MySQL side by side: what each of the three users can do is
# enough for the program, and what he must not do is refused.
#
#   tests/grants.sh [PROGRAM]    else $PROGRAM, else target/debug/dingsync
#
# The servers are those of tests/servers.sh. What is made on a server that was there before has names of its own, and is
# removed at the end.
set -euo pipefail

fail() { echo "tests/grants.sh: ${engine:+$engine: }$*" >&2; exit 1; }

root=$(cd "$(dirname "$0")/.." && pwd)
program=${1:-${PROGRAM:-$root/target/debug/dingsync}}
[ -x "$program" ] || fail "$program is not there; build it, or name the program as the argument"
program=$(cd "$(dirname "$program")" && pwd)/${program##*/}
for tool in curl jq; do
  command -v "$tool" >/dev/null || fail "please install: $tool"
done

# shellcheck source=tests/servers.sh
. "$root/tests/servers.sh"

work=$(mktemp -d "${TMPDIR:-/tmp}/dingsync-grants.XXXXXX")
provers=()

finish() {
  local prover
  trap '' HUP INT TERM
  for prover in "${provers[@]}"; do
    kill "$prover" 2>/dev/null || true
  done
  for prover in "${provers[@]}"; do
    wait "$prover" 2>/dev/null || true
  done
  stop_servers
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# --- One engine. All of this runs in a shell of its own, with its folder $here. ---

# The underscore stands for any character in patterns; `decoy` differs from `database` by it alone.
database=ding_grants_$$
decoy=dingxgrants_$$
password=grants-$$-password

say() { printf '%-8s %3s s  %s\n' "$engine" "$SECONDS" "$*"; }

# Waits so many seconds at most until a command succeeds.
until_within() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < end)) || return 1
    sleep 0.1
  done
}

# A client's session as one of the users; statements come from stdin.
client() { # user, options of the client's
  local user=$1 secret=$password
  shift
  [ "$user" != root ] || user=$server_user secret=$server_password
  if [ "$engine" = postgres ]; then
    PGPASSWORD=$secret PGCLIENTENCODING=UTF8 PGOPTIONS='-c client_min_messages=error' "$psql" --no-psqlrc --quiet \
      --host="$server_host" --port="$server_port" --username="$user" "$@"
  else
    MYSQL_PWD=$secret "$mysql" --no-defaults "${mysql_options[@]}" --host="$server_host" --port="$server_port" \
      --user="$user" "$@"
  fi
}

# What a statement answers, columns apart by tabs. It ends at the first error.
ask() { # user, statements
  if [ "$engine" = postgres ]; then
    client "$1" --dbname="$database" --no-align --tuples-only --field-separator=$'\t' -v ON_ERROR_STOP=1 <<<"$2"
  else
    client "$1" --batch --raw --skip-column-names "$database" <<<"$2"
  fi
}

# Each of the lines is a statement, and each is refused for want of a right: for no other reason.
refused() { # user, statements
  local user=$1 lines=$2 number=0 line
  if [ "$engine" = postgres ]; then
    client "$user" --dbname="$database" --file=- <<<"$lines" 2>"$here/words" >/dev/null || true
  else
    client "$user" --force "$database" <<<"$lines" 2>"$here/words" >/dev/null || true
  fi
  while read -r line; do
    number=$((number + 1))
    if [ "$engine" = postgres ]; then
      # A view of several tables is read-only for everybody; that is said first.
      grep -Eq "^psql:<stdin>:$number: ERROR:  (permission denied|must be owner|cannot (insert|update|delete))" "$here/words"
    else
      # Table, database, routine, and what only an administrator may; not connections, nor tables that are not there.
      grep -Eq "^ERROR (1142|1044|1370|1227|1410) \([0-9A-Z]+\) at line $number:" "$here/words"
    fi || {
      fail "$user was not refused: $line"
    }
    checks=$((checks + 1))
  done <<<"$lines"
}

# All of it may be done.
allowed() { # user, statements
  ask "$1" "$2" >"$here/words" 2>&1 || {
    cat "$here/words" >&2
    fail "$1 was refused: $2"
  }
  checks=$((checks + $(grep -c ';' <<<"$2")))
}

# As an administrator would run it: the file deploy/sql/….
grant() { # own_database
  if [ "$engine" = postgres ]; then
    client "$admin" --dbname="$database" -v own_database="$1" -v schema="$schema" -v migrator="$migrator" \
      -v daemon="$daemon" -v reader="$reader" --file="$root/deploy/sql/grants-postgres.sql"
  else
    client root "$database" --init-command="SET @dingsync_migrator = '$migrator', @dingsync_daemon = '$daemon', @dingsync_reader = '$reader'" \
      <"$root/deploy/sql/grants-mysql.sql"
  fi >"$here/words" 2>&1 || {
    cat "$here/words" >&2
    fail "deploy/sql does not run"
  }
}

# How the program is run as one of the users, with nothing of this shell's settings: sets dingsync.
as() {
  dingsync=(env -i "PATH=$PATH" "DINGSYNC_CONFIG=$here/dingsync.toml"
    "DINGSYNC_DATABASE__URL=$dialect://$1:$password@$server_host:$server_port/$database" "$program")
}

truth() { curl -fsS --max-time 10 "$sim/sim/truth/$1"; }

# What the OA's user sees is what DingTalk has.
mirror_agrees() {
  truth users >"$here/users" && truth departments >"$here/departments" && truth roles >"$here/roles" || return 1
  {
    jq -r '"person\t\(.userid)\t\(.name)"' "$here/users"
    jq -r '.userid as $id | .departments[] | "member\t\($id)\t\(.dept_id)"' "$here/users"
    jq -r '.userid as $id | .roles[] | "holder\t\($id)\t\(.role_id)"' "$here/users"
    jq -r '"department\t\(.dept_id)\t\(.name)"' "$here/departments"
    jq -r '"role\t\(.role_id)\t\(.name)"' "$here/roles"
  } | LC_ALL=C sort >"$here/wanted"
  ask "$reader" "
    SELECT 'person', userid, name FROM $prefix.ding_v_employee;
    SELECT 'member', userid, dept_id FROM $prefix.ding_employee_department;
    SELECT 'holder', userid, role_id FROM $prefix.ding_employee_role;
    SELECT 'department', dept_id, name FROM $prefix.ding_v_department;
    SELECT 'role', role_id, name FROM $prefix.ding_role WHERE deleted_at IS NULL;" | LC_ALL=C sort >"$here/found"
  cmp -s "$here/wanted" "$here/found"
}

idle() {
  daemon_lives
  curl -fsS --max-time 5 "$ops/api/v1/status" 2>/dev/null |
    jq -e '.corps.main | .bootstrap.state == "complete" and .queue.pending + .queue.running + .queue.parked + .queue.held == 0' >/dev/null
}

mirrored() { idle && mirror_agrees; }

sim_listens() { sim=$(sed -nE 's/^API +(http:.*)$/\1/p' "$here/sim") && [ -n "$sim" ]; }

# The address in a log line of the daemon's.
logged() { jq -rR --arg message "$1" 'fromjson? | select(.message == $message) | .address' "$here/daemon" | grep .; }

daemon_lives() { kill -0 "$daemon_process" 2>/dev/null || fail "the daemon ended: $(tail -n 3 "$here/daemon")"; }

daemon_listens() { daemon_lives && ops=http://$(logged "health, metrics and status") && callbacks=http://$(logged callbacks); }

daemon_says() { grep -q "$1" "$here/daemon"; }

# A command of the program. It is waited for, so that a signal need not wait for it.
succeeds() { # user, arguments
  as "$1"
  timeout 60 "${dingsync[@]}" "${@:2}" >"$here/words" 2>&1 &
  command_process=$!
  wait "$command_process" || fail "${*:2} as $1: $(tail -n 5 "$here/words")"
  command_process=''
}

start_daemon() {
  : >"$here/daemon"
  as "$daemon"
  "${dingsync[@]}" serve --no-migrate >"$here/daemon" 2>&1 &
  daemon_process=$!
}

end_process() {
  [ -n "$1" ] || return 0
  kill "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

clean_up() {
  trap '' HUP INT TERM
  end_process "$command_process"
  end_process "$daemon_process"
  end_process "$sim_process"
  # A server of ours goes as a whole.
  [ "$is_ours" = no ] || return 0
  if [ "$engine" = postgres ]; then
    client root --dbname="$server_database" <<<"
      DROP DATABASE IF EXISTS $database WITH (FORCE);
      DROP ROLE IF EXISTS $migrator, $daemon, $reader, $admin;" >/dev/null 2>&1 || true
  else
    client root <<<"
      DROP DATABASE IF EXISTS $database;
      DROP DATABASE IF EXISTS $decoy;
      DROP USER IF EXISTS $migrator, $daemon, $reader;" >/dev/null 2>&1 || true
  fi
}

public_tables() {
  sed -nE 's/^CREATE (TABLE|VIEW|OR REPLACE VIEW)( IF NOT EXISTS)? (ding_[a-z_]+).*/\3/p' "$root/migrations/$dialect"/*.sql
}

own_tables() {
  echo dingsync_migration
  sed -nE 's/^CREATE TABLE( IF NOT EXISTS)? (dingsync_[a-z_]+).*/\2/p' "$root/migrations/$dialect"/*.sql
}

prove() { # engine, url, whether the server is ours
  engine=$1 is_ours=$3
  [[ $2 =~ ^[a-z]+://([^:]+):([^@]+)@([^:/]+):([0-9]+)/([^?]+) ]] || fail "its URL must have the form …://user:password@host:port/database"
  server_user=${BASH_REMATCH[1]} server_password=${BASH_REMATCH[2]} server_host=${BASH_REMATCH[3]}
  server_port=${BASH_REMATCH[4]} server_database=${BASH_REMATCH[5]}
  here=$work/$engine
  mkdir "$here"
  migrator=grants_migrator_$$ daemon=grants_daemon_$$ reader=grants_reader_$$ admin=grants_admin_$$ schema=grants_schema
  command_process='' daemon_process='' sim_process='' checks=0 dialect=mysql prefix=$database
  [ "$engine" != postgres ] || dialect=postgres prefix=$schema
  trap clean_up EXIT
  trap 'exit 143' HUP INT TERM
  local table public own statements

  # A DingTalk, while the server is set up.
  env -i PATH="$PATH" "$program" sim --users 200 --departments 20 --rate 0 --listen 127.0.0.1:0 >"$here/sim" 2>&1 &
  sim_process=$!

  # The database of an OA, with a table of its own, and one whose name only looks like ours to a careless pattern.
  if [ "$engine" = postgres ]; then
    # No superuser: what he lacks would not be noticed.
    client root --dbname="$server_database" -v ON_ERROR_STOP=1 <<<"
      CREATE ROLE $admin LOGIN CREATEROLE PASSWORD '$password';
      CREATE DATABASE $database OWNER $admin TEMPLATE template0 ENCODING 'UTF8';"
    if client "$admin" --dbname="$database" --file="$root/deploy/sql/grants-postgres.sql" >"$here/words" 2>&1; then
      fail "the file runs without own_database"
    fi
    grep -q 'say -v own_database' "$here/words" || fail "without own_database: $(<"$here/words")"
    grant yes
    ask "$admin" "
      ALTER ROLE $migrator PASSWORD '$password'; ALTER ROLE $daemon PASSWORD '$password'; ALTER ROLE $reader PASSWORD '$password';"
    ask root "CREATE TABLE $schema.oa_salary (amount INT); CREATE TABLE $schema.dingxemployee (name TEXT);
      CREATE TABLE public.oa_leave (days INT);"
  else
    client root <<<"
      CREATE DATABASE $database CHARACTER SET utf8mb4;
      CREATE DATABASE $decoy CHARACTER SET utf8mb4;
      CREATE TABLE $decoy.oa_salary (amount INT);
      CREATE TABLE $database.oa_salary (amount INT);
      CREATE TABLE $database.dingxemployee (name TEXT);"
    grant -
    if client "$daemon" <<<'SELECT 1' >"$here/words" 2>&1; then fail "a new user can log in before he has a password"; fi
    client root <<<"
      ALTER USER $migrator@'%' IDENTIFIED BY '$password' ACCOUNT UNLOCK;
      ALTER USER $daemon@'%' IDENTIFIED BY '$password' ACCOUNT UNLOCK;
      ALTER USER $reader@'%' IDENTIFIED BY '$password' ACCOUNT UNLOCK;"
  fi

  until_within 30 sim_listens || fail "the simulator does not start: $(<"$here/sim")"
  {
    sed -n '/^\[corps.main\]/,$p' "$here/sim"
    printf 'requests_per_second = 0\n[server]\nlisten = "127.0.0.1:0"\n[ops]\nlisten = "127.0.0.1:0"\n[log]\nformat = "json"\n'
  } >"$here/dingsync.toml"

  # Without a schema the daemon says so and makes nothing. On MySQL its user has no way in before there are tables.
  start_daemon
  until_within 30 daemon_says "$([ "$engine" = postgres ] && echo 'holds no mirror' || echo 'Access denied')" ||
    fail "without a schema: $(tail -n 3 "$here/daemon")"
  end_process "$daemon_process"
  daemon_process=''
  succeeds "$migrator" migrate
  grant yes
  say "migrated as the migrator"

  start_daemon
  until_within 30 daemon_listens || fail "the daemon does not start: $(tail -n 5 "$here/daemon")"
  until_within 120 mirrored || fail "the pull is not complete: $(diff "$here/wanted" "$here/found" | head -n 5; tail -n 5 "$here/daemon")"
  [ "$(ask "$reader" "SELECT count(*) FROM $prefix.ding_v_employee;")" = 200 ] || fail "not 200 people"
  say "pulled as the daemon: 200 people, $(wc -l <"$here/found") rows agree"

  # People and departments that come, change and go, while the rights are granted anew.
  curl -fsS -X POST "$sim/sim/callback" -d "{\"url\":\"$callbacks/dingtalk/main/callback\",\"check\":true}" >/dev/null
  curl -fsS -X POST "$sim/sim/changes" -d "$(jq -sc '[
      {kind: "person_rename", userid: .[3].userid, name: "新名字"},
      {kind: "person_move", userid: .[4].userid, departments: [.[5].departments[0].dept_id]},
      {kind: "people_leave", userids: [.[6].userid, .[7].userid]},
      {kind: "person_join", name: "新同事"},
      {kind: "department_create", name: "新部门", parent_id: 1}]' "$here/users")" >"$here/words" || fail "changes: $(<"$here/words")"
  curl -fsS -X POST "$sim/sim/life" -d '{"count":20,"interval_ms":10}' >/dev/null
  grant no
  curl -fsS -X POST "$sim/sim/life/wait" -d '{"timeout_ms":30000}' >/dev/null
  curl -fsS -X POST "$sim/sim/settle" -d '{"timeout_ms":30000}' >/dev/null
  until_within 60 mirrored || fail "not mirrored: $(diff "$here/wanted" "$here/found" | head -n 5; tail -n 5 "$here/daemon")"
  succeeds "$daemon" verify
  say "mirrored 25 changes, and found no difference: $(ask "$reader" "SELECT count(*) FROM $prefix.ding_v_employee;") people, $(ask "$reader" "SELECT count(*) FROM $prefix.ding_change;") rows in ding_change"

  # What the daemon's user cannot do.
  statements="CREATE TABLE ding_intruder (a INT);
DROP TABLE dingsync_inbox;
DROP VIEW ding_v_employee;
ALTER TABLE ding_employee ADD COLUMN intruder INT;
CREATE INDEX intruder ON ding_employee (title);
CREATE VIEW intruder AS SELECT 1 AS a;
TRUNCATE TABLE dingsync_inbox;
CREATE DATABASE intruder;
INSERT INTO dingsync_migration (version, description, checksum, min_compatible_version, applied_at) VALUES (99, '', '', 1, 0);
UPDATE dingsync_migration SET checksum = '';
DELETE FROM dingsync_migration;
SELECT * FROM oa_salary;
INSERT INTO oa_salary VALUES (1);
SELECT * FROM dingxemployee;"
  if [ "$engine" = postgres ]; then
    # `grant no` gives nobody back what `grant yes` took away.
    statements+="
CREATE TABLE public.intruder (a INT);
CREATE TEMPORARY TABLE intruder (a INT);
CREATE SCHEMA intruder;
CREATE ROLE intruder;
CREATE FUNCTION intruder() RETURNS INT LANGUAGE sql AS 'SELECT 1';
ALTER VIEW ding_v_employee RENAME TO intruder;
ALTER TABLE ding_employee OWNER TO $daemon;
ALTER SEQUENCE ding_employee_id_seq RESTART;
SELECT nextval('ding_employee_id_seq');
SELECT * FROM public.oa_leave;
SET ROLE $migrator;"
  else
    statements+="
CREATE TEMPORARY TABLE intruder (a INT);
LOCK TABLES ding_employee READ;
CREATE PROCEDURE intruder() SELECT 1;
CREATE TRIGGER intruder BEFORE INSERT ON ding_employee FOR EACH ROW SET @a = 1;
CREATE USER intruder;
GRANT SELECT ON ding_employee TO $reader;
SELECT * FROM mysql.user;
SELECT * FROM $decoy.oa_salary;
CREATE TABLE $decoy.intruder (a INT);"
  fi
  refused "$daemon" "$statements"

  # What the OA's user can and cannot do.
  public=$(public_tables) own=$(own_tables)
  [ "$(wc -w <<<"$public") $(wc -w <<<"$own")" = "11 23" ] ||
    fail "migrations have other tables than they had: look whether the lists of this test still are complete"
  statements=''
  for table in $public; do
    allowed "$reader" "SELECT * FROM $prefix.$table;"
    statements+="DELETE FROM $prefix.$table WHERE corp_id = 'nobody';"$'\n'
    statements+="UPDATE $prefix.$table SET corp_id = 'nobody' WHERE corp_id = 'nobody';"$'\n'
    statements+="INSERT INTO $prefix.$table (corp_id) VALUES ('nobody');"$'\n'
  done
  for table in $own; do
    statements+="SELECT * FROM $prefix.$table;"$'\n'"DELETE FROM $prefix.$table;"$'\n'
  done
  statements+="TRUNCATE TABLE $prefix.ding_employee;
ALTER TABLE $prefix.ding_employee ADD COLUMN intruder INT;
DROP TABLE $prefix.ding_employee;
DROP VIEW $prefix.ding_v_employee;
CREATE TABLE $prefix.ding_intruder (a INT);
CREATE TEMPORARY TABLE intruder (a INT);
SELECT * FROM $prefix.oa_salary;
SELECT * FROM $prefix.dingxemployee;"
  [ "$engine" != postgres ] || statements+="
CREATE TABLE public.intruder (a INT);
SELECT * FROM public.oa_leave;
SET ROLE $daemon;"
  refused "$reader" "$statements"

  # What the migrator cannot do.
  statements="CREATE DATABASE intruder;
CREATE $([ "$engine" = postgres ] && echo ROLE || echo USER) intruder;"
  if [ "$engine" = postgres ]; then
    statements+="
SELECT * FROM oa_salary;
CREATE TABLE public.intruder (a INT);
CREATE SCHEMA intruder;
SELECT * FROM public.oa_leave;"
  else
    statements+="
SELECT * FROM $decoy.oa_salary;
CREATE TABLE $decoy.intruder (a INT);
GRANT SELECT ON ding_employee TO $reader;
SELECT * FROM mysql.user;"
  fi
  refused "$migrator" "$statements"

  # A later migration: what a migrator may do, and who sees its tables.
  local id='id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY' write
  [ "$engine" != postgres ] || id='id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY'
  allowed "$migrator" "
    CREATE TABLE ding_later ($id, note INT);
    CREATE TABLE dingsync_later ($id, note INT);
    ALTER TABLE ding_later ADD COLUMN more INT;
    CREATE INDEX ding_later_note ON ding_later (note);
    CREATE OR REPLACE VIEW ding_v_later AS SELECT id, note FROM ding_later;
    INSERT INTO ding_later (note) VALUES (1);
    UPDATE ding_later SET more = note;
    CREATE TABLE ding_mistake (a INT);
    DROP TABLE ding_mistake;"
  write="
    INSERT INTO ding_later (note) VALUES (2);
    UPDATE ding_later SET note = 3 WHERE note = 2;
    DELETE FROM ding_later WHERE note = 3;
    INSERT INTO dingsync_later (note) VALUES (2);
    SELECT * FROM ding_v_later;"
  if [ "$engine" = postgres ]; then
    allowed "$daemon" "$write"
    # As if somebody else had migrated before.
    ask root "ALTER TABLE $schema.ding_later OWNER TO $admin;"
  else
    refused "$daemon" 'SELECT * FROM ding_later;'
  fi
  refused "$reader" "SELECT * FROM $prefix.ding_later;"
  grant yes
  allowed "$daemon" "$write"
  allowed "$reader" "SELECT * FROM $prefix.ding_later; SELECT * FROM $prefix.ding_v_later;"
  refused "$reader" "SELECT * FROM $prefix.dingsync_later;
DELETE FROM $prefix.ding_later;"
  allowed "$migrator" "DROP VIEW ding_v_later; DROP TABLE ding_later; DROP TABLE dingsync_later;"

  kill -TERM "$daemon_process"
  wait "$daemon_process" || fail "the daemon ended with $?"
  daemon_process=''
  if grep -iE 'denied|must be owner' "$here/daemon" >&2; then fail "the daemon lacked a right"; fi
  say "$checks statements were allowed or refused as they have to be"
}

# --- The three of them. ---

declare -A ours
for one in POSTGRES MARIADB MYSQL; do
  url=TEST_${one}_URL
  ours[$one]=yes
  [ -z "${!url:-}" ] || ours[$one]=no
done
start_servers
psql=$(command -v psql) || psql=$(servers_postgres_bin)/psql
[ -x "$psql" ] || fail "please install: postgresql-client"
mysql=$(command -v mariadb || command -v mysql) || fail "please install: mariadb-client-core"
mysql_options=(--skip-ssl)
"$mysql" --version | grep -q MariaDB || mysql_options=(--ssl-mode=PREFERRED --get-server-public-key)

for one in POSTGRES MARIADB MYSQL; do
  url=TEST_${one}_URL
  if [ -z "${!url:-}" ]; then
    echo "${one,,}: skipped, no server is there"
    continue
  fi
  (prove "${one,,}" "${!url}" "${ours[$one]}") &
  provers+=($!)
done
code=0
for prover in "${provers[@]}"; do
  wait "$prover" || code=1
done
provers=()
[ "$code" = 0 ] || fail "see above"
