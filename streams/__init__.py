"""Streams: the pure core of windows, the stream definitions, and the Faust runtime around them."""
