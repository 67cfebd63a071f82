"""Other homes for the events of topics that are there: looked for, given and told."""
