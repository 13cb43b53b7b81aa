-- Which row of the OA's is which object of DingTalk's. Public: the OA may read it.
CREATE TABLE ding_link (
    id         INTEGER PRIMARY KEY,
    corp_id    TEXT    NOT NULL,
    -- department, employee or role.
    entity     TEXT    NOT NULL,
    ding_id    TEXT    NOT NULL,
    -- The key of the OA's row, as a text.
    oa_id      TEXT    NOT NULL,
    -- find, key or command.
    linked_by  TEXT,
    -- The object is gone, and the OA's row was treated as the mapping says.
    removed_at TEXT,
    created_at TEXT,
    updated_at TEXT,
    UNIQUE (corp_id, entity, ding_id),
    UNIQUE (corp_id, entity, oa_id)
);

-- How far the OA's own tables follow the change log: one row for each organisation.
CREATE TABLE dingsync_apply (
    corp_id       TEXT    PRIMARY KEY,
    -- The NAME of the table [apply.NAME].
    name          TEXT    NOT NULL,
    -- The last change that was applied.
    seq           INTEGER NOT NULL DEFAULT 0,
    -- waiting for the first pull, walking through the mirror, or following the log.
    phase         TEXT    NOT NULL DEFAULT 'waiting',
    -- Where the walk is: the entity, and the last object of it.
    walk_entity   TEXT,
    walk_after    TEXT,
    -- How many walks were asked for, and how many of these were begun.
    walks_wanted  INTEGER NOT NULL DEFAULT 0,
    walks_begun   INTEGER NOT NULL DEFAULT 0,
    -- A digest of the statements that the last walk ran.
    mapping       TEXT,
    -- Where the OA's tables are that the links speak of.
    place         TEXT,
    -- Why nothing gets on, where nothing does: away, read_only, denied, mismatch, busy, moved or elsewhere.
    trouble       TEXT,
    trouble_text  TEXT,
    trouble_since INTEGER,
    applied_at    INTEGER
) WITHOUT ROWID;

-- Objects whose rows in the OA's tables are not yet as they are to be.
CREATE TABLE dingsync_apply_object (
    id        INTEGER PRIMARY KEY,
    corp_id   TEXT    NOT NULL,
    -- department, employee or role.
    entity    TEXT    NOT NULL,
    ding_id   TEXT    NOT NULL,
    -- due: to be applied; parked: the OA's database refuses it.
    state     TEXT    NOT NULL,
    -- Which statement was refused, such as employee.upsert, and in which words.
    statement TEXT,
    message   TEXT,
    attempts  INTEGER NOT NULL DEFAULT 0,
    -- 1 when a person has given it another row: what shows its key is due with it.
    rekeyed   INTEGER NOT NULL DEFAULT 0,
    -- How often it was marked: what is marked while it is being applied is applied once more.
    marks     INTEGER NOT NULL DEFAULT 0,
    since     INTEGER NOT NULL,
    UNIQUE (corp_id, entity, ding_id)
);
CREATE INDEX dingsync_apply_object_state ON dingsync_apply_object (corp_id, state, id);

-- Memberships that were put into the OA's tables: only those are ever taken out again.
CREATE TABLE dingsync_apply_member (
    id       INTEGER PRIMARY KEY,
    corp_id  TEXT    NOT NULL,
    -- employee_department or employee_role.
    entity   TEXT    NOT NULL,
    userid   TEXT    NOT NULL,
    -- The department's or the role's id.
    other_id INTEGER NOT NULL,
    UNIQUE (corp_id, entity, userid, other_id)
);
