-- Objects that `when` leaves out and that a person has let go, whatever the deletion guard says of so many at once.
CREATE TABLE dingsync_apply_let_go (
    id      INTEGER PRIMARY KEY,
    corp_id TEXT    NOT NULL,
    -- department, employee or role.
    entity  TEXT    NOT NULL,
    ding_id TEXT    NOT NULL,
    UNIQUE (corp_id, entity, ding_id)
);
