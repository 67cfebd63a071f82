"""Everything that reaches into Faust and aiokafka: the consumer, and record batches as they come. Only
`streams.worker.app` beside it imports them; kafka-python's client of a worker is in `identity` alone.

Two private names of theirs are left, both overridden in `consumer`, as Faust has no setting for either:

`Consumer._new_consumer_thread`     the thread is ours, with its positions, commits and errors of fetches
`Thread._create_worker_consumer`    aiokafka's settings: Faust's lack "none" for resets, and least bytes

What is public and replaced all the same, as exactness, or more than 15 % of the CPU, hangs on it:

`fetcher.PartitionRecords`, `fetcher.MemoryRecords`     whole record batches instead of messages (`unpack`)
`Listener.on_partitions_revoked`, `.on_partitions_assigned`     nothing is fetched from a position of Kafka's,
    and nothing is committed within a rebalance
`Thread.getmany`                    of a paused stream, a cut log, a damaged batch nothing is skipped
`Consumer.seek_to_committed`        where the folds go on, whatever Kafka has as committed

Two more buy less, and are public too: `conn.READER_LIMIT` fewer halts of reading (`connect`), and
`NoTables` a second of each start (`streams.worker.app`).
tests/contract/libraries holds all to what was read in the pinned versions, and counts the private names.
"""
