-- Erasures that were carried out to their end, so that they are not begun again at each start.
CREATE TABLE dingsync_retention (
    id      INTEGER PRIMARY KEY,
    corp_id TEXT    NOT NULL,
    -- `excluded_fields`.
    task    TEXT    NOT NULL,
    -- What was erased: the names of the fields.
    detail  TEXT    NOT NULL,
    done_at INTEGER NOT NULL,
    UNIQUE (corp_id, task)
);

-- What the group robot was told, so that each thing is told once, over restarts and replicas.
CREATE TABLE dingsync_notice (
    id       INTEGER PRIMARY KEY,
    corp_id  TEXT    NOT NULL,
    topic    TEXT    NOT NULL,
    -- 1 from the message that it began until the one that it is over.
    is_open  INTEGER NOT NULL DEFAULT 0,
    -- How much of it there was when it was told last, or which run it was.
    told     INTEGER NOT NULL DEFAULT 0,
    told_at  INTEGER,
    -- When it was seen last.
    seen_at  INTEGER,
    -- Up to which change the log was looked at.
    position INTEGER,
    UNIQUE (corp_id, topic)
);
