-- Refused events whose source has spent its share of dead letters: only their places in the log, one row for each
-- message. `songlo dlq fetch` reads them from Kafka while it keeps them, and makes dead letters of them. A place may be
-- both here and in dead_letters: the shares begin anew with each worker, and what is fetched stays noted. Whoever
-- counts takes each place once. Letters are written before the notes that may replace earlier ones of a message.
-- Old months may be dropped, with those of dead_letters.
CREATE TABLE IF NOT EXISTS noted
(
    stream      LowCardinality(String),
    topic       LowCardinality(String),
    partition   UInt16,
    epoch       UInt16,
    offset      UInt64 CODEC(Delta, ZSTD(1)),
    append_time DateTime64(3, 'Asia/Ho_Chi_Minh') CODEC(Delta, ZSTD(1)),
    source      String CODEC(ZSTD(1)),
    indexes     Array(UInt32) CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(append_time)
ORDER BY (topic, partition, epoch, offset)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- Up to where `songlo resume STREAM --past` skips: epoch << 48 | offset by partition.
ALTER TABLE breakers ADD COLUMN IF NOT EXISTS past Map(UInt32, UInt64);

-- What is noted, with those of its events that are dead letters as well (`fetched`). Of dead_letters only the
-- messages that are noted are read.
CREATE OR REPLACE VIEW noted_states AS
SELECT
    n.stream AS stream,
    n.topic AS topic,
    n.partition AS partition,
    n.epoch AS epoch,
    n.offset AS offset,
    n.append_time AS append_time,
    n.source AS source,
    n.indexes AS indexes,
    arrayIntersect(n.indexes, d.indexes) AS fetched
FROM (SELECT * FROM noted FINAL) AS n
LEFT JOIN
(
    SELECT topic, partition, epoch, offset, groupArray(`index`) AS indexes
    FROM dead_letters FINAL
    WHERE (topic, partition, epoch, offset) IN (SELECT topic, partition, epoch, offset FROM noted)
    GROUP BY topic, partition, epoch, offset
) AS d ON d.topic = n.topic AND d.partition = n.partition AND d.epoch = n.epoch AND d.offset = n.offset
SETTINGS do_not_merge_across_partitions_select_final = 1, join_algorithm = 'full_sorting_merge';

-- Who is held back: events by stream, source and hour, and how many of them are not fetched.
CREATE OR REPLACE VIEW noted_letters AS
SELECT
    stream,
    source,
    toStartOfHour(append_time) AS hour,
    sum(length(indexes)) AS events,
    sum(length(indexes) - length(fetched)) AS not_fetched,
    min(append_time) AS first,
    max(append_time) AS last
FROM noted_states
GROUP BY stream, source, hour;

-- As before, but that each place of a refused event counts once, be it a dead letter, noted or both.
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
    d.dead + n.noted AS dead_stored,
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
    SELECT topic, partition, sum(length(indexes) - length(fetched)) AS noted FROM noted_states GROUP BY topic, partition
) AS n ON n.topic = p.topic AND n.partition = p.partition
LEFT JOIN
(
    SELECT topic, partition, sum(events) AS events FROM corrections FINAL GROUP BY topic, partition
) AS c ON c.topic = p.topic AND c.partition = p.partition
SETTINGS do_not_merge_across_partitions_select_final = 1;
