-- What every stream shares: ids of closed panes, late events, dead letters, progress.
-- Each statement may run again: a migration that was interrupted, or started twice at once, does no harm.
--
-- fsync_after_insert: progress says that all before it is stored. Were a power cut to lose window rows that the
-- server had acknowledged, and to keep the progress row written after them, they would be missing for good.
-- So everything is on disk before it is accounted for. The progress table itself needs none: an older
-- progress row only replays more.

-- The ids of each closed pane as sorted 64-bit hashes, to tell a late event from a late duplicate.
-- Kept as long as Kafka keeps the log; whole days are dropped, by the day of writing, so that a backfill
-- of old events keeps its ids as long. The key holds the epoch: a pane may close once in each.
CREATE TABLE IF NOT EXISTS pane_ids
(
    topic        LowCardinality(String),
    partition    UInt16,
    window_start DateTime('Asia/Ho_Chi_Minh'),
    epoch        UInt16,
    ids          Array(UInt64) CODEC(Delta, ZSTD(1)),
    written_at   DateTime('Asia/Ho_Chi_Minh') DEFAULT now()
)
ENGINE = ReplacingMergeTree
PARTITION BY toDate(written_at)
ORDER BY (topic, partition, window_start, epoch)
TTL written_at + INTERVAL 7 DAY
SETTINGS ttl_only_drop_parts = 1, index_granularity = 128, index_granularity_bytes = 1048576,
    fsync_after_insert = 1, fsync_part_directory = 1;

-- Each late event once: where it stands in the log. Of one id the lowest position stays.
-- No TTL: a late event's row in its window table is keyed by its id, so totals do not depend on this table;
-- it may be dropped by month.
CREATE TABLE IF NOT EXISTS late_events
(
    stream       LowCardinality(String),
    topic        LowCardinality(String),
    partition    UInt16,
    window_start DateTime('Asia/Ho_Chi_Minh'),
    id           UInt64,
    event_id     String,
    occurred_at  DateTime64(3, 'Asia/Ho_Chi_Minh'),
    append_time  DateTime64(3, 'Asia/Ho_Chi_Minh'),
    epoch        UInt16,
    offset       UInt64,
    `index`      UInt32,
    earliness    UInt128 DEFAULT bitNot(bitOr(bitShiftLeft(toUInt128(epoch), 96), bitOr(bitShiftLeft(toUInt128(offset), 32), toUInt128(`index`))))
)
ENGINE = ReplacingMergeTree(earliness)
PARTITION BY toYYYYMM(window_start)
ORDER BY (topic, partition, window_start, id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- What could not be counted, with its bytes as they came. Old months may be dropped.
CREATE TABLE IF NOT EXISTS dead_letters
(
    stream      LowCardinality(String),
    topic       LowCardinality(String),
    partition   UInt16,
    epoch       UInt16,
    offset      UInt64,
    `index`     UInt32,
    append_time DateTime64(3, 'Asia/Ho_Chi_Minh'),
    field       LowCardinality(String),
    reason      String,
    raw         String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(append_time)
ORDER BY (topic, partition, epoch, offset, `index`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- How far each partition has been folded; the newest version wins, merges forget the others.
CREATE TABLE IF NOT EXISTS progress
(
    stream        LowCardinality(String),
    topic         LowCardinality(String),
    partition     UInt16,
    epoch         UInt16,
    next_offset   UInt64,
    replay_from   UInt64,
    pane_ms       UInt32,
    watermark_ms  Int64,
    max_event_ms  Int64,
    max_append_ms Int64,
    folded        UInt64,
    duplicates    UInt64,
    late          UInt64,
    dead          UInt64,
    topic_id      String,
    version       UInt64,
    updated_at    DateTime64(3, 'Asia/Ho_Chi_Minh') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (topic, partition);

-- How many events more a rebuilt window holds than the workers' counters have counted: not 0 where a changed
-- definition takes or refuses other events than before, or where a gap in the log was accepted.
CREATE TABLE IF NOT EXISTS corrections
(
    topic        LowCardinality(String),
    partition    UInt16,
    window_start DateTime('Asia/Ho_Chi_Minh'),
    version      UInt64,
    events       Int64,
    corrected_at DateTime64(3, 'Asia/Ho_Chi_Minh') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(window_start)
ORDER BY (topic, partition, window_start)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- The streams that the last `songlo migrate` knew; written by it.
CREATE TABLE IF NOT EXISTS streams
(
    name  String,
    topic String,
    `table` String,
    view  String
)
ENGINE = MergeTree
ORDER BY name;

-- The rows of all streams: every table whose name ends in _windows, so a new stream joins by its name.
-- A row without events stands over one that `songlo rebuild` found to be no more, with a higher version, so that a
-- replay can't bring that back; views leave it out.
CREATE TABLE IF NOT EXISTS windows
(
    window_start   DateTime('Asia/Ho_Chi_Minh'),
    window_seconds UInt32,
    ward_code      LowCardinality(String),
    partition      UInt16,
    late_id        UInt64,
    version        UInt64,
    events         UInt64
)
ENGINE = Merge(currentDatabase(), '_windows$');

-- folded + duplicates + late + dead = events read since the partition's beginning.
CREATE OR REPLACE VIEW stream_progress AS
SELECT
    stream,
    topic,
    partition,
    next_offset,
    fromUnixTimestamp64Milli(watermark_ms, 'Asia/Ho_Chi_Minh') AS watermark,
    folded,
    duplicates,
    late,
    dead,
    updated_at
FROM progress FINAL;

-- What progress accounts for against what the tables hold, by partition. Between the inserts of a flush, or
-- after a crash there, the tables are ahead: the verdict is 'ahead', and 'exact' after the next flush.
-- 'missing' must never be seen, unless rows were deleted by hand. Events on time and late ones are compared
-- together, since a rebuild makes them one.
CREATE OR REPLACE VIEW conservation AS
SELECT
    p.stream AS stream,
    p.topic AS topic,
    p.partition AS partition,
    p.folded + p.duplicates + p.late + p.dead AS events_read,
    p.folded AS folded,
    p.duplicates AS duplicates,
    p.late AS late,
    p.dead AS dead,
    w.folded AS folded_stored,
    w.late AS late_stored,
    d.dead AS dead_stored,
    c.events AS corrected,
    toInt128(folded_stored + late_stored) - toInt128(folded + late) - corrected AS excess,
    multiIf(
        excess < 0 OR dead_stored < dead, 'missing',
        excess > 0 OR dead_stored > dead, 'ahead',
        'exact') AS verdict
FROM (SELECT * FROM progress FINAL) AS p
LEFT JOIN
(
    SELECT s.topic AS topic, partition, sumIf(events, late_id = 0) AS folded, sumIf(events, late_id != 0) AS late
    FROM (SELECT _table, partition, late_id, events FROM windows FINAL) AS rows
    INNER JOIN streams AS s ON s.`table` = rows._table
    GROUP BY s.topic, partition
) AS w ON w.topic = p.topic AND w.partition = p.partition
LEFT JOIN
(
    SELECT topic, partition, count() AS dead FROM dead_letters FINAL GROUP BY topic, partition
) AS d ON d.topic = p.topic AND d.partition = p.partition
LEFT JOIN
(
    SELECT topic, partition, sum(events) AS events FROM corrections FINAL GROUP BY topic, partition
) AS c ON c.topic = p.topic AND c.partition = p.partition
SETTINGS do_not_merge_across_partitions_select_final = 1;
