"""Whether a worker stands still, and its end when it does. What pauses a stream is beside this room:
`streams.worker.breakers`.
"""
