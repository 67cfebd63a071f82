"""Everything that reaches into Faust and aiokafka: the consumer, and record batches as they come. Only
`streams.worker.app` beside it imports them.
"""
