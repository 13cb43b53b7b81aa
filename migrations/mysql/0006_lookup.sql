-- Finding people and departments by their names, and runs by the objects that they found. MySQL has no
-- CREATE INDEX IF NOT EXISTS.
SET @dingsync_missing = (SELECT COUNT(*) = 0 FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'ding_employee' AND index_name = 'ding_employee_name');
SET @dingsync_statement = IF(@dingsync_missing, 'CREATE INDEX ding_employee_name ON ding_employee (name)', 'DO 0');
PREPARE dingsync_statement FROM @dingsync_statement;
EXECUTE dingsync_statement;
SET @dingsync_missing = (SELECT COUNT(*) = 0 FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'ding_department' AND index_name = 'ding_department_name');
SET @dingsync_statement = IF(@dingsync_missing, 'CREATE INDEX ding_department_name ON ding_department (name)', 'DO 0');
PREPARE dingsync_statement FROM @dingsync_statement;
EXECUTE dingsync_statement;
SET @dingsync_missing = (SELECT COUNT(*) = 0 FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = 'dingsync_run_item' AND index_name = 'dingsync_run_item_object');
SET @dingsync_statement = IF(@dingsync_missing, 'CREATE INDEX dingsync_run_item_object ON dingsync_run_item (entity_id, run_id)', 'DO 0');
PREPARE dingsync_statement FROM @dingsync_statement;
EXECUTE dingsync_statement;
