"""Settings: what they are, how they are read, and what is made from them. Nothing here connects anywhere."""
