"""What operators ask and do: lag, pauses, dead letters, rebuilds, and times as they write them. Values and
decisions; how they are asked for and shown is in `infra.cli` and `infra.view`.
"""
