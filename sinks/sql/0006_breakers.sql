-- The switch of each stream that was ever paused for its dead letters: `songlo resume STREAM` sets it back.
-- Workers read it while they run; a pause outlives them all. `changes` counts the changes: an odd number is a
-- pause, and a writer that has not heard of the last change loses against it.
CREATE TABLE IF NOT EXISTS breakers
(
    stream  LowCardinality(String),
    changes UInt64,
    at      DateTime64(3, 'Asia/Ho_Chi_Minh'),
    reason  String,
    paused  Bool ALIAS changes % 2 = 1
)
ENGINE = ReplacingMergeTree(changes)
ORDER BY stream
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
