"""What must be on the machine before Songlo can run: its Python, tools, a place for what was fetched.
Standard library only, as nothing else is there yet. Kafka and ClickHouse are fetched by `infra.stack`.
"""
