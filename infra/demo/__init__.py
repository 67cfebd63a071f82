"""The demo's events: hours of real junctions, then a simulated city. It only feeds Kafka."""
