-- What an organisation has to catch up with. One row an organisation; instants are milliseconds since the epoch.
CREATE TABLE IF NOT EXISTS dingsync_catch_up (
    corp_id         VARCHAR(128) NOT NULL PRIMARY KEY,
    -- Since when something may have been missed that no comparison has looked for yet.
    gap_since       BIGINT,
    -- When the last gap ended of which this daemon is the cause.
    gap_until       BIGINT,
    -- Why: 1 nobody was there, 2 callbacks got 503, 4 they could not be decrypted, 8 the failed list was not empty, 16 a
    -- key was changed, 32 an answer of the failed list was lost, 64 an earlier comparison was given up.
    reasons         BIGINT NOT NULL DEFAULT 0,
    -- 1 where nobody was there: such a gap is looked for at once.
    is_exempt       BIGINT NOT NULL DEFAULT 0,
    -- When a process that takes callbacks last lived, and the mark of the keys that it used.
    received_at     BIGINT,
    key_mark        VARCHAR(191),
    -- The failed list: when it was asked last; since when an answer is expected that has not been stored; what could not
    -- be read in it: 1 people, 2 departments, 4 roles.
    asked_at        BIGINT,
    begun_at        BIGINT,
    unreadable      BIGINT NOT NULL DEFAULT 0,
    -- The last comparison without anybody asking for it; the one after which everybody's details are read, and the last
    -- person marked for it.
    reconciled_at   BIGINT,
    details_run     BIGINT,
    details_after   VARCHAR(191),
    -- From when on leavers are to be asked for.
    leavers_since   BIGINT
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
