"""Streams: their definitions, the pure core of windows and its compiled twin, the worker that runs them."""
