"""The worker: one process that folds what Kafka has into windows that a sink stores. Rooms by what happens
when: `process`, `client` (fetch), `recover`, `flush`, `health` (watch); what all share stands here. Decisions
that depend on the log alone are not here: they are in `streams.core`.
"""
