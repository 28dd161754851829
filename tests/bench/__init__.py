"""The benchmark: what one worker does in a second, beside the machine's limits and what a user would take instead."""
