"""Everything around the pipeline: commands, settings, Kafka for commands, operating, the local stack, the
demo and the live view. What measures and breaks it is no part of it: see `tests.bench`, `tests.chaos`.
"""
