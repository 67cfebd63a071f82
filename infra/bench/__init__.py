"""What an event costs, measured on this machine: Songlo, and what else people use, on the same topic."""
