"""Child processes on this machine, whatever they run: ports, start and end, being well, what is written
of them. Knows neither Kafka nor ClickHouse.
"""
