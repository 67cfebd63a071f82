"""Dead letters in the operator's hands: looking at them, correcting them, sending them again."""
