"""Coverage-guided fuzzing of every wire format: `make fuzz SECONDS=600 FORMAT=tvan`."""
