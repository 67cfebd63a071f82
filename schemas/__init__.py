"""The city's events: what producers may send, how it is decoded and refused, and the reference tables."""
