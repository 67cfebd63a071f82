"""A believable day in the city, as events: pure, the same for the same seed, start and city."""
