-- Finding people and departments by their names, and runs by the objects that they found.
CREATE INDEX IF NOT EXISTS ding_employee_name ON ding_employee (name);
CREATE INDEX IF NOT EXISTS ding_department_name ON ding_department (name);
CREATE INDEX IF NOT EXISTS dingsync_run_item_object ON dingsync_run_item (entity_id, run_id);
