"""The live terminal view: fetch a snapshot, draw it. Drawing is pure, 80 columns by 24 lines."""
