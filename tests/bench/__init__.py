"""What an event costs, measured on this machine: Songlo, and what else people use, on the same topic.
`songlo bench` in a clone; no part of what is installed.
"""
