-- What an organisation has to catch up with. One row an organisation; instants are milliseconds since the epoch.
CREATE TABLE dingsync_catch_up (
    corp_id         TEXT PRIMARY KEY,
    -- Since when something may have been missed that no comparison has looked for yet.
    gap_since       INTEGER,
    -- When the last gap ended of which this daemon is the cause.
    gap_until       INTEGER,
    -- Why: 1 nobody was there, 2 callbacks got 503, 4 they could not be decrypted, 8 the failed list was not empty, 16 a
    -- key was changed, 32 an answer of the failed list was lost, 64 an earlier comparison was given up.
    reasons         INTEGER NOT NULL DEFAULT 0,
    -- 1 where nobody was there: such a gap is looked for at once.
    is_exempt       INTEGER NOT NULL DEFAULT 0,
    -- When a process that takes callbacks last lived, and the mark of the keys that it used.
    received_at     INTEGER,
    key_mark        TEXT,
    -- The failed list: when it was asked last; since when an answer is expected that has not been stored; what could not
    -- be read in it: 1 people, 2 departments, 4 roles.
    asked_at        INTEGER,
    begun_at        INTEGER,
    unreadable      INTEGER NOT NULL DEFAULT 0,
    -- The last comparison without anybody asking for it; the one after which everybody's details are read, and the last
    -- person marked for it.
    reconciled_at   INTEGER,
    details_run     INTEGER,
    details_after   TEXT,
    -- From when on leavers are to be asked for.
    leavers_since   INTEGER
);
