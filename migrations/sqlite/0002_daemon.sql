-- The daemon's own tables. Instants are milliseconds since the epoch, UTC.

-- One row an organisation: counters that transactions take in turn, and the short number that stands for it where a
-- corp_id would be repeated a hundred thousand times.
CREATE TABLE dingsync_corp (
    corp                 INTEGER PRIMARY KEY,
    corp_id              TEXT    NOT NULL UNIQUE,
    change_seq           INTEGER NOT NULL DEFAULT 0,
    bootstrap_run        INTEGER NOT NULL DEFAULT 0,
    bootstrap_started_at INTEGER,
    bootstrap_error      TEXT,
    -- 1 while a pull makes everybody visible: details are read after that.
    details_wait         INTEGER NOT NULL DEFAULT 0,
    -- Calls that count against the organisation's month (Shanghai's, such as 2026-11).
    metered_month        TEXT,
    metered_calls        INTEGER NOT NULL DEFAULT 0
);

-- Deletions within the guard's window.
CREATE TABLE dingsync_deletion (
    id         INTEGER PRIMARY KEY,
    corp_id    TEXT    NOT NULL,
    entity     TEXT    NOT NULL,
    deleted_at INTEGER NOT NULL
);
CREATE INDEX dingsync_deletion_window ON dingsync_deletion (corp_id, entity, deleted_at);

-- Every authentic event, as it was decrypted.
CREATE TABLE dingsync_inbox (
    id              INTEGER PRIMARY KEY,
    corp_id         TEXT    NOT NULL,
    event_key       TEXT    NOT NULL,
    event_id        TEXT,
    event_type      TEXT    NOT NULL,
    operator_userid TEXT,
    occurred_at     INTEGER,
    received_at     INTEGER NOT NULL,
    message         TEXT    NOT NULL,
    UNIQUE (corp_id, event_key)
);

-- The ledger: one row for each object that was ever heard of; queue, memory of what was read, tombstone.
CREATE TABLE dingsync_object (
    id              INTEGER PRIMARY KEY,
    corp            INTEGER NOT NULL,
    kind            TEXT    NOT NULL,
    object_id       TEXT    NOT NULL,
    -- Hints counted, and how many of them a finished read has answered: pending is wanted > done.
    wanted          INTEGER NOT NULL,
    done            INTEGER NOT NULL DEFAULT 0,
    -- The value of wanted that the running read answers.
    claimed         INTEGER NOT NULL DEFAULT 0,
    -- 0 live, 1 background.
    lane            INTEGER NOT NULL,
    -- When the object may be claimed; under a lease, when that runs out; NULL while there is nothing to do.
    ready_at        INTEGER,
    pending_since   INTEGER,
    lease           INTEGER,
    attempts        INTEGER NOT NULL DEFAULT 0,
    -- What the hints since the last answer expect: 1 present, 2 changed, 4 gone.
    expects         INTEGER NOT NULL DEFAULT 0,
    -- Whether reads have shown what the events were about: 0 yes, 1 one event still to be shown, 2 only a read made long
    -- enough after the last event is believed.
    doubt           INTEGER NOT NULL DEFAULT 0,
    event_at        INTEGER,
    -- The confirming read that comes next: 0 none, 1 and 2 after a contradiction, 3 while there is doubt.
    confirm         INTEGER NOT NULL DEFAULT 0,
    -- Who asked, strongest first: 4 event, 3 push, 2 manual, 1 reconcile, 0 bootstrap.
    cause           INTEGER NOT NULL,
    event_id        TEXT,
    operator_userid TEXT,
    run_id          INTEGER NOT NULL DEFAULT 0,
    -- What the last read said: 0 never read, 1 present, 2 gone, 3 hidden, 4 gone but held by the deletion guard.
    standing        INTEGER NOT NULL DEFAULT 0,
    read_at         INTEGER,
    parked_reason   TEXT,
    parked_at       INTEGER,
    -- Where a read of several pages goes on.
    progress        TEXT,
    UNIQUE (corp, kind, object_id)
);
CREATE INDEX dingsync_object_ready ON dingsync_object (corp, lane, kind, ready_at, pending_since)
    WHERE ready_at IS NOT NULL;
CREATE INDEX dingsync_object_leased ON dingsync_object (corp, lane) WHERE lease IS NOT NULL;
CREATE INDEX dingsync_object_confirming ON dingsync_object (corp, kind, lane, ready_at) WHERE confirm > 0;
CREATE INDEX dingsync_object_apart ON dingsync_object (corp, standing) WHERE standing > 2;
CREATE INDEX dingsync_object_parked ON dingsync_object (corp) WHERE parked_at IS NOT NULL;

-- What role/simplelist says of a member's managed departments, kept also for people whose own read is still to come.
CREATE TABLE dingsync_role_scope (
    corp_id         TEXT    NOT NULL,
    role_id         INTEGER NOT NULL,
    userid          TEXT    NOT NULL,
    manage_dept_ids TEXT    NOT NULL,
    seen_in         INTEGER NOT NULL,
    PRIMARY KEY (corp_id, role_id, userid)
) WITHOUT ROWID;

-- Who named somebody that has gone: read again when he comes back.
CREATE TABLE dingsync_reference (
    corp      INTEGER NOT NULL,
    userid    TEXT    NOT NULL,
    kind      TEXT    NOT NULL,
    object_id TEXT    NOT NULL,
    PRIMARY KEY (corp, userid, kind, object_id)
) WITHOUT ROWID;

-- Work that somebody asked for, with its progress and its result.
CREATE TABLE dingsync_run (
    id           INTEGER PRIMARY KEY,
    corp_id      TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    options      TEXT    NOT NULL,
    state        TEXT    NOT NULL,
    requested_at INTEGER NOT NULL,
    started_at   INTEGER,
    finished_at  INTEGER,
    phase        TEXT,
    progress     INTEGER NOT NULL DEFAULT 0,
    total        INTEGER,
    error        TEXT,
    try_later    INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX dingsync_run_open ON dingsync_run (corp_id, state);

CREATE TABLE dingsync_run_item (
    id         INTEGER PRIMARY KEY,
    run_id     INTEGER NOT NULL,
    entity     TEXT    NOT NULL,
    entity_id  TEXT    NOT NULL,
    difference TEXT    NOT NULL,
    fields     TEXT    NOT NULL
);
CREATE INDEX dingsync_run_item_run ON dingsync_run_item (run_id);

-- The processes on this database. One that has not been heard of for a few seconds is gone.
CREATE TABLE dingsync_replica (
    id       INTEGER PRIMARY KEY,
    holder   TEXT    NOT NULL,
    -- It has workers, and so a share in the calls of every organisation.
    works    INTEGER NOT NULL,
    heard_at INTEGER NOT NULL
);

-- What only one process may do at a time, and who does it until when.
CREATE TABLE dingsync_lead (
    name    TEXT    NOT NULL PRIMARY KEY,
    replica INTEGER NOT NULL,
    holder  TEXT    NOT NULL,
    until   INTEGER NOT NULL,
    -- 1 while what happened in the absence of all processes has still to be found.
    catch_up INTEGER NOT NULL DEFAULT 0
);

-- What the planner is to assume: without statistics it believes that corp_id alone narrows a search. The figures are
-- those of an organisation of a hundred thousand people.
ANALYZE;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('ding_department', 'sqlite_autoindex_ding_department_1', '5000 5000 1'),
    ('ding_department', 'ding_department_parent', '5000 4'),
    ('ding_employee', 'sqlite_autoindex_ding_employee_1', '100000 100000 1'),
    ('ding_employee', 'ding_employee_mobile', '100000 1'),
    ('ding_employee', 'ding_employee_job_number', '100000 2'),
    ('ding_employee', 'ding_employee_unionid', '100000 1'),
    ('ding_employee', 'ding_employee_manager', '100000 10'),
    ('ding_employee', 'ding_employee_current', '100000 100000 100000'),
    ('ding_employee_department', 'sqlite_autoindex_ding_employee_department_1', '120000 120000 2 1'),
    ('ding_employee_department', 'ding_employee_department_members', '120000 25 1'),
    ('ding_employee_role', 'sqlite_autoindex_ding_employee_role_1', '50000 50000 2 1'),
    ('ding_employee_role', 'ding_employee_role_members', '50000 500 1'),
    ('ding_change', 'sqlite_autoindex_ding_change_1', '500000 500000 1'),
    ('ding_change', 'ding_change_entity', '500000 500000 100000 4 1'),
    ('dingsync_inbox', 'sqlite_autoindex_dingsync_inbox_1', '100000 100000 1'),
    ('dingsync_object', 'sqlite_autoindex_dingsync_object_1', '110000 110000 20000 1'),
    ('dingsync_object', 'dingsync_object_ready', '50000 50000 25000 10000 30 30'),
    ('dingsync_object', 'dingsync_object_leased', '20 20 10'),
    ('dingsync_object', 'dingsync_object_confirming', '100 100 50 50 1'),
    ('dingsync_object', 'dingsync_object_apart', '100 100 50'),
    ('dingsync_object', 'dingsync_object_parked', '10 10'),
    ('dingsync_role_scope', 'dingsync_role_scope', '5000 5000 50 1'),
    ('dingsync_run', 'dingsync_run_open', '100 100 20'),
    ('dingsync_run_item', 'dingsync_run_item_run', '1000 50');
