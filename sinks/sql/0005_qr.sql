-- QR windows: one row for a pane, its dimensions and a Kafka partition (late_id 0), and one for each late report.
-- Amounts are UInt128, since sums of the largest amounts do not fit into 64 bits.
CREATE TABLE IF NOT EXISTS qr_windows
(
    window_start      DateTime('Asia/Ho_Chi_Minh') CODEC(Delta, ZSTD(1)),
    window_seconds    UInt32,
    merchant_id       String,
    merchant_category LowCardinality(String),
    ward_code         LowCardinality(String),
    provider          LowCardinality(String),
    partition         UInt16,
    late_id           UInt64,
    version           UInt64,
    events            UInt64,
    succeeded         UInt64,
    failed            UInt64,
    amount_vnd        UInt128
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(window_start)
ORDER BY (window_start, window_seconds, merchant_id, merchant_category, ward_code, provider, partition, late_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE OR REPLACE VIEW qr_minute AS
SELECT
    window_start,
    window_seconds,
    merchant_id,
    merchant_category,
    ward_code,
    provider,
    sum(w.events) AS reports,
    sum(w.succeeded) AS succeeded,
    sum(w.failed) AS failed,
    sum(w.amount_vnd) AS amount_vnd,
    countIf(w.late_id != 0) AS late_events
FROM qr_windows AS w FINAL
WHERE w.events > 0
GROUP BY window_start, window_seconds, merchant_id, merchant_category, ward_code, provider
SETTINGS do_not_merge_across_partitions_select_final = 1;
