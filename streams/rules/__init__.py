"""Alert rules: what one says, how a minute is decided, which firings follow."""
