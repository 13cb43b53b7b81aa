-- What DingTalk says is gone and the deletion guard was asked about: one row for each object, until it is deleted or back.
CREATE TABLE dingsync_held (
    id         INTEGER PRIMARY KEY,
    corp_id    TEXT    NOT NULL,
    -- department, employee, role_group or role.
    entity     TEXT    NOT NULL,
    entity_id  TEXT    NOT NULL,
    -- held; admitted: a comparison's, within the limits; approved, discarded: by a person; deleted: approved, and done.
    state      TEXT    NOT NULL,
    -- The run that found it gone; 0 for a read that belonged to none.
    run_id     INTEGER NOT NULL,
    found_at   INTEGER NOT NULL,
    decided_at INTEGER,
    -- `command line: USER`, or `token NAME`.
    decided_by TEXT,
    UNIQUE (corp_id, entity, entity_id)
);
CREATE INDEX dingsync_held_state ON dingsync_held (corp_id, state);

INSERT INTO dingsync_held (corp_id, entity, entity_id, state, run_id, found_at)
SELECT own.corp_id, object.kind, object.object_id, 'held', 0, COALESCE(object.read_at, 0)
FROM dingsync_object AS object JOIN dingsync_corp AS own ON own.corp = object.corp
WHERE object.standing = 4 AND object.kind IN ('department', 'employee');

-- Whoever counts deletions takes this row first, so that two processes do not both admit the last one.
CREATE TABLE dingsync_guard (
    corp_id TEXT    PRIMARY KEY,
    turn    INTEGER NOT NULL
) WITHOUT ROWID;

-- What a run has to say in words: what could not be read, what is out of sight, what was decided.
CREATE TABLE dingsync_run_note (
    id     INTEGER PRIMARY KEY,
    run_id INTEGER NOT NULL,
    kind   TEXT    NOT NULL,
    text   TEXT    NOT NULL
);
CREATE INDEX dingsync_run_note_run ON dingsync_run_note (run_id);
