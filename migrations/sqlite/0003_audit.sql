-- Every write that somebody asked for, by whom and when: the command line, or a named token of the admin API.
CREATE TABLE dingsync_audit (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    corp_id TEXT    NOT NULL,
    -- `command line: USER`, or `token NAME`.
    who     TEXT    NOT NULL,
    action  TEXT    NOT NULL,
    -- JSON: what it was about. Ids and numbers, nothing personal.
    subject TEXT    NOT NULL
);
CREATE INDEX dingsync_audit_at ON dingsync_audit (at);
