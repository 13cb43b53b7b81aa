-- How far a run under way has read people one by one, and what it found: an interrupted one goes on from there.
CREATE TABLE dingsync_run_place (
    id          INTEGER PRIMARY KEY,
    run_id      INTEGER NOT NULL,
    -- The last of a batch, in the order of ids.
    last_userid TEXT    NOT NULL,
    -- Those of the batch who seem to differ, and those who are out of sight: JSON arrays of ids.
    differing   TEXT    NOT NULL,
    hidden      TEXT    NOT NULL,
    kept_at     INTEGER NOT NULL
);
CREATE INDEX dingsync_run_place_run ON dingsync_run_place (run_id);
