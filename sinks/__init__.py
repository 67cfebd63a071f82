"""Sinks: the stores of windows behind `streams.sink.Sink`, their SQL, and reading from them."""
