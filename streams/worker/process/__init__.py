"""What a worker is as a process: its log, memory, status file, and the deadline of its stop. Knows nothing
of Kafka, Faust or windows.
"""
