"""The compiled fold: c/fold.c, its tables, and the state that hands it record batches."""
