"""The loop that stores what changed, and the order of its writes. How rows are written is the sink's."""
