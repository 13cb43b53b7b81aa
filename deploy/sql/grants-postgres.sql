-- Three users for dingsync on PostgreSQL 13 or later, each with what it needs and nothing else:
--
--   migrator   owns the tables and changes them: `dingsync migrate`
--   daemon     reads and writes rows: `dingsync serve --no-migrate`, and every other command
--   reader     reads what is public, for the OA: the tables and views named ding_…, none of those named dingsync_…
--
-- Run it with psql as a superuser, or as a role with CREATEROLE that owns the database:
--
--   createdb --encoding=UTF8 oa                 # or a database that is there
--   psql -d oa -v own_database=yes -f deploy/sql/grants-postgres.sql
--   psql -d oa                                  # no password stands in this file:
--     \password dingsync_migrator
--     \password dingsync_daemon
--     \password dingsync_reader
--   DINGSYNC_DATABASE__URL=postgres://dingsync_migrator:…@host/oa dingsync migrate
--   psql -d oa -v own_database=yes -f deploy/sql/grants-postgres.sql
--   DINGSYNC_DATABASE__URL=postgres://dingsync_daemon:…@host/oa dingsync serve --no-migrate
--
-- It can be run again at any time, beside running daemons, and puts right what has changed. RUN IT AFTER EACH
-- `dingsync migrate`. What happens if you forget that: the daemon works all the same, because new tables are its own to
-- read and write by default; the reader does not see new tables, because a default cannot tell ding_… from dingsync_….
--
-- Settings, each as -v NAME=VALUE:
--
--   own_database   yes: the database is dingsync's alone. Then what everybody may do in every database is taken away:
--                       to connect, to make temporary tables, and, up to PostgreSQL 14, to make tables in `public`.
--                       (That last one is a superuser's to take away: psql warns if you are none.)
--                  no:  others use it too, and keep that. So does the daemon: it may make temporary tables, and, up to
--                       PostgreSQL 14, tables in `public`.
--   schema         dingsync            the schema of the tables; made if it is not there
--   migrator       dingsync_migrator   the three users; made if they are not there
--   daemon         dingsync_daemon
--   reader         dingsync_reader
--
-- Let the OA log in as the reader, or make its own role a member: GRANT dingsync_reader TO oa. Its queries name the
-- schema, dingsync.ding_employee, unless you set search_path for it.

\set ON_ERROR_STOP on
\if :{?schema}
\else
  \set schema dingsync
\endif
\if :{?migrator}
\else
  \set migrator dingsync_migrator
\endif
\if :{?daemon}
\else
  \set daemon dingsync_daemon
\endif
\if :{?reader}
\else
  \set reader dingsync_reader
\endif
\if :{?own_database}
\else
  \set own_database ''
\endif
SELECT :'own_database' IN ('yes', 'no') AS own_database_is_said \gset
\if :own_database_is_said
\else
  DO $$ BEGIN RAISE EXCEPTION 'say -v own_database=yes or -v own_database=no; the file tells what it means'; END $$;
\endif

-- All or nothing: running daemons see the rights of before or of after.
BEGIN;

-- Without a password nobody can log in with one.
SELECT format('CREATE ROLE %I LOGIN', name)
FROM (VALUES (:'migrator'), (:'daemon'), (:'reader')) AS wanted (name)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec

-- To grant rights on the migrator's tables, whoever is no superuser has to be a member of it.
SELECT format('GRANT %I TO CURRENT_USER', :'migrator')
WHERE NOT pg_has_role(current_user, :'migrator', 'USAGE')
\gexec

\if :own_database
  REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
  SELECT 'REVOKE CREATE ON SCHEMA public FROM PUBLIC' WHERE EXISTS (SELECT FROM pg_namespace WHERE nspname = 'public')
  \gexec
\endif
GRANT CONNECT ON DATABASE :"DBNAME" TO :"migrator", :"daemon", :"reader";

SELECT format('CREATE SCHEMA %I AUTHORIZATION %I', :'schema', :'migrator')
WHERE NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = :'schema')
\gexec
GRANT USAGE, CREATE ON SCHEMA :"schema" TO :"migrator";
GRANT USAGE ON SCHEMA :"schema" TO :"daemon", :"reader";

-- The program names its tables without their schema.
ALTER ROLE :"migrator" IN DATABASE :"DBNAME" SET search_path = :"schema";
ALTER ROLE :"daemon" IN DATABASE :"DBNAME" SET search_path = :"schema";

-- Tables of later migrations. Sequences need no rights: they belong to identity columns.
ALTER DEFAULT PRIVILEGES FOR ROLE :"migrator" IN SCHEMA :"schema"
  GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO :"daemon";

-- The tables and views that are there. The underscore is compared as itself: in a LIKE it would stand for any character.
CREATE OR REPLACE FUNCTION pg_temp.dingsync_tables(of_schema text)
RETURNS TABLE (name text, owner name, kind "char", is_public boolean, is_migration boolean)
LANGUAGE sql AS $$
  SELECT oid::regclass::text, pg_get_userbyid(relowner), relkind, starts_with(relname, 'ding_'),
         relname = 'dingsync_migration'
  FROM pg_class
  WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = of_schema)
    AND relkind IN ('r', 'p', 'v', 'm')
    AND (starts_with(relname, 'ding_') OR starts_with(relname, 'dingsync_'))
  ORDER BY relname
$$;

-- Made by another user, before there were three: only its owner can change a table.
SELECT format('ALTER TABLE %s OWNER TO %I', name, :'migrator')
FROM pg_temp.dingsync_tables(:'schema') WHERE owner <> :'migrator'
\gexec

SELECT format('REVOKE ALL ON TABLE %s FROM %I, %I', name, :'daemon', :'reader')
FROM pg_temp.dingsync_tables(:'schema')
\gexec

-- Which migrations were made is the migrator's to write.
SELECT format(
  'GRANT %s ON TABLE %s TO %I',
  CASE WHEN kind IN ('r', 'p') AND NOT is_migration THEN 'SELECT, INSERT, UPDATE, DELETE' ELSE 'SELECT' END,
  name, :'daemon'
)
FROM pg_temp.dingsync_tables(:'schema')
\gexec

-- Views read their tables with the rights of their owner, the migrator.
SELECT format('GRANT SELECT ON TABLE %s TO %I', name, :'reader')
FROM pg_temp.dingsync_tables(:'schema') WHERE is_public
\gexec

COMMIT;
