"""Scenarios: changes laid over a replay, so that a drill differs from history."""
