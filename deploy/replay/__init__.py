"""Replays: a period of live's records, played into a space of its own."""
