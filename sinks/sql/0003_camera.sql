-- Camera windows: one row for a pane, its dimensions and a Kafka partition (late_id 0), and one for each late event.
-- To keep a year only: ALTER TABLE camera_windows DROP PARTITION 202501, or a TTL on window_start.
CREATE TABLE IF NOT EXISTS camera_windows
(
    window_start   DateTime('Asia/Ho_Chi_Minh') CODEC(Delta, ZSTD(1)),
    window_seconds UInt32,
    camera_id      LowCardinality(String),
    ward_code      LowCardinality(String),
    kind           LowCardinality(String),
    object_class   LowCardinality(String),
    violation_code LowCardinality(String),
    direction      LowCardinality(String),
    partition      UInt16,
    late_id        UInt64,
    version        UInt64,
    events         UInt64,
    objects        UInt64,
    speed_count    UInt64,
    speed_sum      UInt64,
    speed_max      UInt64,
    speed_buckets  Array(UInt64),
    speed_weights  Array(UInt64)
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(window_start)
ORDER BY (window_start, window_seconds, camera_id, ward_code, kind, object_class, violation_code, direction, partition, late_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- Speeds in km/h; percentiles by nearest rank on the merged histogram, within 1 % of the true one.
CREATE OR REPLACE VIEW camera_minute AS
WITH
    sumMap(w.speed_buckets, w.speed_weights) AS speeds,
    arrayCumSum(speeds.2) AS ranks
SELECT
    window_start,
    window_seconds,
    camera_id,
    ward_code,
    kind,
    object_class,
    violation_code,
    direction,
    sum(w.events) AS events,
    sum(w.objects) AS objects,
    if(sum(w.speed_count) = 0, NULL, sum(w.speed_sum) / sum(w.speed_count) / 1000) AS speed_avg,
    if(sum(w.speed_count) = 0, NULL, max(w.speed_max) / 1000) AS speed_max,
    if(empty(ranks), NULL, least(speeds.1[arrayFirstIndex(r -> r * 100 >= ranks[-1] * 50, ranks)], max(w.speed_max)) / 1000) AS speed_p50,
    if(empty(ranks), NULL, least(speeds.1[arrayFirstIndex(r -> r * 100 >= ranks[-1] * 85, ranks)], max(w.speed_max)) / 1000) AS speed_p85,
    countIf(w.late_id != 0) AS late_events
FROM camera_windows AS w FINAL
WHERE w.events > 0
GROUP BY window_start, window_seconds, camera_id, ward_code, kind, object_class, violation_code, direction
SETTINGS do_not_merge_across_partitions_select_final = 1;
