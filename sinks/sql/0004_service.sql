-- Service windows: one row for a pane, its dimensions and a Kafka partition (late_id 0), and one for each late event.
-- Fees are UInt128, since sums of the largest fees do not fit into 64 bits.
CREATE TABLE IF NOT EXISTS service_windows
(
    window_start     DateTime('Asia/Ho_Chi_Minh') CODEC(Delta, ZSTD(1)),
    window_seconds   UInt32,
    office_code      LowCardinality(String),
    ward_code        LowCardinality(String),
    procedure_code   LowCardinality(String),
    channel          LowCardinality(String),
    action           LowCardinality(String),
    partition        UInt16,
    late_id          UInt64,
    version          UInt64,
    events           UInt64,
    fee_vnd          UInt128,
    on_time          UInt64,
    overdue          UInt64,
    duration_count   UInt64,
    duration_sum     UInt64,
    duration_max     UInt64,
    duration_buckets Array(UInt64),
    duration_weights Array(UInt64)
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(window_start)
ORDER BY (window_start, window_seconds, office_code, ward_code, procedure_code, channel, action, partition, late_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- Durations in seconds; percentiles by nearest rank on the merged histogram, within 1 % of the true one.
CREATE OR REPLACE VIEW service_minute AS
WITH
    sumMap(w.duration_buckets, w.duration_weights) AS durations,
    arrayCumSum(durations.2) AS ranks
SELECT
    window_start,
    window_seconds,
    office_code,
    ward_code,
    procedure_code,
    channel,
    action,
    sum(w.events) AS events,
    sum(w.fee_vnd) AS fee_vnd,
    sum(w.on_time) AS on_time,
    sum(w.overdue) AS overdue,
    if(sum(w.duration_count) = 0, NULL, sum(toUInt128(w.duration_sum)) / sum(w.duration_count) / 1000) AS duration_avg_s,
    if(empty(ranks), NULL, least(durations.1[arrayFirstIndex(r -> r * 100 >= ranks[-1] * 50, ranks)], max(w.duration_max)) / 1000) AS duration_p50_s,
    if(empty(ranks), NULL, least(durations.1[arrayFirstIndex(r -> r * 100 >= ranks[-1] * 95, ranks)], max(w.duration_max)) / 1000) AS duration_p95_s,
    countIf(w.late_id != 0) AS late_events
FROM service_windows AS w FINAL
WHERE w.events > 0
GROUP BY window_start, window_seconds, office_code, ward_code, procedure_code, channel, action
SETTINGS do_not_merge_across_partitions_select_final = 1;
