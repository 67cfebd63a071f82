"""Faults on purpose: seeded bad traffic, workers that are killed, and an oracle that reads the log itself.
`songlo chaos` in a clone; no part of what is installed.
"""
