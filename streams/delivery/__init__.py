"""How record batches come from Kafka, and positions go back: the only room that knows Faust."""
