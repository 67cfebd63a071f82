"""What must be on the machine before Songlo can run; standard library only, as nothing else is there yet."""
