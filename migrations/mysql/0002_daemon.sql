-- The daemon's own tables. Instants are milliseconds since the epoch, UTC. Each statement can be run again.

-- One row an organisation: counters that transactions take in turn, and the short number that stands for it where a
-- corp_id would be repeated a hundred thousand times.
CREATE TABLE IF NOT EXISTS dingsync_corp (
    corp                 BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    corp_id              VARCHAR(128) NOT NULL UNIQUE,
    change_seq           BIGINT NOT NULL DEFAULT 0,
    bootstrap_run        BIGINT NOT NULL DEFAULT 0,
    bootstrap_started_at BIGINT,
    bootstrap_error      TEXT,
    -- 1 while a pull makes everybody visible: details are read after that.
    details_wait         BIGINT NOT NULL DEFAULT 0,
    -- Calls that count against the organisation's month (Shanghai's, such as 2026-11).
    metered_month        VARCHAR(16),
    metered_calls        BIGINT NOT NULL DEFAULT 0
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Deletions within the guard's window.
CREATE TABLE IF NOT EXISTS dingsync_deletion (
    id         BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    corp_id    VARCHAR(128) NOT NULL,
    entity     VARCHAR(32) NOT NULL,
    deleted_at BIGINT NOT NULL,
    KEY dingsync_deletion_window (corp_id, entity, deleted_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Every authentic event, as it was decrypted.
CREATE TABLE IF NOT EXISTS dingsync_inbox (
    id              BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    corp_id         VARCHAR(128) NOT NULL,
    event_key       VARCHAR(191) NOT NULL,
    event_id        VARCHAR(255),
    event_type      VARCHAR(255) NOT NULL,
    operator_userid VARCHAR(255),
    occurred_at     BIGINT,
    received_at     BIGINT NOT NULL,
    message         MEDIUMTEXT NOT NULL,
    UNIQUE (corp_id, event_key)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The ledger: one row for each object that was ever heard of; queue, memory of what was read, tombstone.
CREATE TABLE IF NOT EXISTS dingsync_object (
    id              BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    corp            BIGINT NOT NULL,
    kind            VARCHAR(32) NOT NULL,
    object_id       VARCHAR(191) NOT NULL,
    -- Hints counted, and how many of them a finished read has answered: pending is wanted > done.
    wanted          BIGINT NOT NULL,
    done            BIGINT NOT NULL DEFAULT 0,
    -- The value of wanted that the running read answers.
    claimed         BIGINT NOT NULL DEFAULT 0,
    -- 0 live, 1 background.
    lane            BIGINT NOT NULL,
    -- When the object may be claimed; under a lease, when that runs out; NULL while there is nothing to do.
    ready_at        BIGINT,
    pending_since   BIGINT,
    lease           BIGINT,
    attempts        BIGINT NOT NULL DEFAULT 0,
    -- What the hints since the last answer expect: 1 present, 2 changed, 4 gone.
    expects         BIGINT NOT NULL DEFAULT 0,
    -- Whether reads have shown what the events were about: 0 yes, 1 one event still to be shown, 2 only a read made long
    -- enough after the last event is believed.
    doubt           BIGINT NOT NULL DEFAULT 0,
    event_at        BIGINT,
    -- The confirming read that comes next: 0 none, 1 and 2 after a contradiction, 3 while there is doubt.
    confirm         BIGINT NOT NULL DEFAULT 0,
    -- Who asked, strongest first: 4 event, 3 push, 2 manual, 1 reconcile, 0 bootstrap.
    cause           BIGINT NOT NULL,
    event_id        VARCHAR(255),
    operator_userid VARCHAR(255),
    run_id          BIGINT NOT NULL DEFAULT 0,
    -- What the last read said: 0 never read, 1 present, 2 gone, 3 hidden, 4 gone but held by the deletion guard.
    standing        BIGINT NOT NULL DEFAULT 0,
    read_at         BIGINT,
    parked_reason   TEXT,
    parked_at       BIGINT,
    -- Where a read of several pages goes on.
    progress        VARCHAR(255),
    UNIQUE (corp, kind, object_id),
    KEY dingsync_object_ready (corp, lane, kind, ready_at),
    KEY dingsync_object_leased (corp, lease, lane),
    KEY dingsync_object_confirming (corp, lane, kind, confirm, ready_at),
    KEY dingsync_object_apart (corp, standing),
    KEY dingsync_object_parked (corp, parked_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What role/simplelist says of a member's managed departments, kept also for people whose own read is still to come.
CREATE TABLE IF NOT EXISTS dingsync_role_scope (
    corp_id         VARCHAR(128) NOT NULL,
    role_id         BIGINT NOT NULL,
    userid          VARCHAR(191) NOT NULL,
    manage_dept_ids MEDIUMTEXT NOT NULL,
    seen_in         BIGINT NOT NULL,
    PRIMARY KEY (corp_id, role_id, userid)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Who named somebody that has gone: read again when he comes back.
CREATE TABLE IF NOT EXISTS dingsync_reference (
    corp      BIGINT NOT NULL,
    userid    VARCHAR(191) NOT NULL,
    kind      VARCHAR(32) NOT NULL,
    object_id VARCHAR(191) NOT NULL,
    PRIMARY KEY (corp, userid, kind, object_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Work that somebody asked for, with its progress and its result.
CREATE TABLE IF NOT EXISTS dingsync_run (
    id           BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    corp_id      VARCHAR(128) NOT NULL,
    kind         VARCHAR(32) NOT NULL,
    options      VARCHAR(255) NOT NULL,
    state        VARCHAR(32) NOT NULL,
    requested_at BIGINT NOT NULL,
    started_at   BIGINT,
    finished_at  BIGINT,
    phase        VARCHAR(255),
    progress     BIGINT NOT NULL DEFAULT 0,
    total        BIGINT,
    error        TEXT,
    try_later    BIGINT NOT NULL DEFAULT 0,
    KEY dingsync_run_open (corp_id, state)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS dingsync_run_item (
    id         BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    run_id     BIGINT NOT NULL,
    entity     VARCHAR(32) NOT NULL,
    entity_id  VARCHAR(191) NOT NULL,
    difference VARCHAR(32) NOT NULL,
    fields     MEDIUMTEXT NOT NULL,
    KEY dingsync_run_item_run (run_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The processes on this database. One that has not been heard of for a few seconds is gone.
CREATE TABLE IF NOT EXISTS dingsync_replica (
    id       BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    holder   VARCHAR(255) NOT NULL,
    -- It has workers, and so a share in the calls of every organisation.
    works    BIGINT NOT NULL,
    heard_at BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What only one process may do at a time, and who does it until when.
CREATE TABLE IF NOT EXISTS dingsync_lead (
    name    VARCHAR(64) NOT NULL PRIMARY KEY,
    replica BIGINT NOT NULL,
    holder  VARCHAR(255) NOT NULL,
    until   BIGINT NOT NULL,
    -- 1 while what happened in the absence of all processes has still to be found.
    catch_up BIGINT NOT NULL DEFAULT 0
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
