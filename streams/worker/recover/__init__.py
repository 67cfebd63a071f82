"""Where partitions go on: after a rebalance, and when one has lost its place. Nothing is read before that."""
