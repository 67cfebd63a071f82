"""A believable day in the city, as events: the same for the same seed, start and city. Only `send` knows
the clock.
"""
