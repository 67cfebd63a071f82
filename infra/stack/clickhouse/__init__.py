"""The local ClickHouse: its engine fetched, how it is run, and the guard before its port."""
