-- Three users for dingsync on MySQL 8.0 or later and MariaDB 10.6 or later, each with what it needs and nothing else:
--
--   migrator   makes and changes the tables: `dingsync migrate`
--   daemon     reads and writes rows: `dingsync serve --no-migrate`, and every other command
--   reader     reads what is public, for the OA: the tables and views named ding_…, none of those named dingsync_…
--
-- Run it with the client mysql or mariadb as an administrator (CREATE USER, and all rights on the database with GRANT
-- OPTION), with the database's name:
--
--   mysql -e 'CREATE DATABASE IF NOT EXISTS dingsync CHARACTER SET utf8mb4'   # or the OA's own
--   mysql dingsync <deploy/sql/grants-mysql.sql
--   mysql                                       # no password stands in this file, and new users are locked:
--     ALTER USER dingsync_migrator@'%' IDENTIFIED BY '…' ACCOUNT UNLOCK;
--     ALTER USER dingsync_daemon@'%'   IDENTIFIED BY '…' ACCOUNT UNLOCK;
--     ALTER USER dingsync_reader@'%'   IDENTIFIED BY '…' ACCOUNT UNLOCK;
--   DINGSYNC_DATABASE__URL=mysql://dingsync_migrator:…@host/dingsync dingsync migrate
--   mysql dingsync <deploy/sql/grants-mysql.sql
--   DINGSYNC_DATABASE__URL=mysql://dingsync_daemon:…@host/dingsync dingsync serve --no-migrate
--
-- It can be run again at any time, beside running daemons. RUN IT AFTER EACH `dingsync migrate`, before the daemons of
-- the new version start: MySQL knows no rights for tables that are still to come, except for all tables of a database,
-- and those of an OA that share it are not the daemon's. It only grants; what you gave beyond that you take away yourself.
--
-- Other names: mysql --init-command="SET @dingsync_reader = 'oa', @dingsync_host = '10.0.%'" dingsync <…

SET @dingsync_migrator = COALESCE(@dingsync_migrator, 'dingsync_migrator');
SET @dingsync_daemon   = COALESCE(@dingsync_daemon, 'dingsync_daemon');
SET @dingsync_reader   = COALESCE(@dingsync_reader, 'dingsync_reader');
-- From where they may connect, as CREATE USER takes it.
SET @dingsync_host     = COALESCE(@dingsync_host, '%');

DROP PROCEDURE IF EXISTS dingsync_grant;
DROP PROCEDURE IF EXISTS dingsync_run;

DELIMITER $$

CREATE PROCEDURE dingsync_run(IN statement_text TEXT CHARACTER SET utf8mb4)
SQL SECURITY INVOKER
BEGIN
  SET @dingsync_statement = statement_text;
  PREPARE dingsync_statement FROM @dingsync_statement;
  EXECUTE dingsync_statement;
  DEALLOCATE PREPARE dingsync_statement;
END $$

CREATE PROCEDURE dingsync_grant()
SQL SECURITY INVOKER
BEGIN
  DECLARE done BOOLEAN DEFAULT FALSE;
  DECLARE table_text, type_text VARCHAR(64) CHARACTER SET utf8mb4;
  DECLARE migrator, daemon, reader VARCHAR(400) CHARACTER SET utf8mb4;
  DECLARE target, locked VARCHAR(200) CHARACTER SET utf8mb4;
  -- The underscore is compared as itself: in a LIKE it would stand for any character.
  DECLARE tables_of_ours CURSOR FOR
    SELECT table_name, table_type FROM information_schema.tables
    WHERE table_schema = DATABASE() AND (LEFT(table_name, 5) = 'ding_' OR LEFT(table_name, 9) = 'dingsync_')
    ORDER BY table_name <> 'dingsync_migration', table_name;
  DECLARE CONTINUE HANDLER FOR NOT FOUND SET done = TRUE;

  SET migrator = CONCAT(QUOTE(@dingsync_migrator), '@', QUOTE(@dingsync_host));
  SET daemon = CONCAT(QUOTE(@dingsync_daemon), '@', QUOTE(@dingsync_host));
  SET reader = CONCAT(QUOTE(@dingsync_reader), '@', QUOTE(@dingsync_host));

  -- Locked until they have a password of yours; the one that they are made with nobody knows.
  SET locked = CONCAT(' IDENTIFIED BY ''!Aa1', SHA2(CONCAT(UUID(), RAND()), 256), ''' ACCOUNT LOCK');
  CALL dingsync_run(CONCAT('CREATE USER IF NOT EXISTS ', migrator, locked));
  CALL dingsync_run(CONCAT('CREATE USER IF NOT EXISTS ', daemon, locked));
  CALL dingsync_run(CONCAT('CREATE USER IF NOT EXISTS ', reader, locked));

  -- What a migration may do to its tables; rows too, since it may have to rewrite them. It is for the whole database,
  -- since names of later tables are not known: beside an OA's tables the migrator can change those too. Where that must
  -- not be, give dingsync a database of its own, or let a DBA run what `dingsync migrate --print` shows.
  -- In this place a database's name is a pattern, and the underscore would stand for any character.
  SET target = CONCAT('`', REPLACE(REPLACE(REPLACE(DATABASE(), '`', '``'), '_', '\\_'), '%', '\\%'), '`.*');
  CALL dingsync_run(CONCAT(
    'GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, CREATE VIEW ON ', target, ' TO ', migrator));

  OPEN tables_of_ours;
  every_table: LOOP
    FETCH tables_of_ours INTO table_text, type_text;
    IF done THEN
      LEAVE every_table;
    END IF;
    SET target = CONCAT('`', REPLACE(DATABASE(), '`', '``'), '`.`', REPLACE(table_text, '`', '``'), '`');
    -- Which migrations were made is the migrator's to write.
    IF type_text = 'BASE TABLE' AND table_text <> 'dingsync_migration' THEN
      CALL dingsync_run(CONCAT('GRANT SELECT, INSERT, UPDATE, DELETE ON ', target, ' TO ', daemon));
    ELSE
      CALL dingsync_run(CONCAT('GRANT SELECT ON ', target, ' TO ', daemon));
    END IF;
    -- Views read their tables with the rights of who made them, the migrator: do not drop that user.
    IF LEFT(table_text, 5) = 'ding_' THEN
      CALL dingsync_run(CONCAT('GRANT SELECT ON ', target, ' TO ', reader));
    END IF;
  END LOOP;
  CLOSE tables_of_ours;
END $$

DELIMITER ;

CALL dingsync_grant();

DROP PROCEDURE dingsync_grant;
DROP PROCEDURE dingsync_run;
