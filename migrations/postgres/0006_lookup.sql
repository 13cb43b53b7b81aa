-- Finding people and departments by their names, and runs by the objects that they found. A name may be longer than an
-- entry of a sorted index.
CREATE INDEX IF NOT EXISTS ding_employee_name ON ding_employee USING hash (name);
CREATE INDEX IF NOT EXISTS ding_department_name ON ding_department USING hash (name);
CREATE INDEX IF NOT EXISTS dingsync_run_item_object ON dingsync_run_item (entity_id, run_id);
