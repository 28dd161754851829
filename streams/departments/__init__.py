"""The departments, one file each: contract, life and figures."""
