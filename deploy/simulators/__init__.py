"""The departments' own systems, as stand-ins over real HTTP, and the judge that knows what they sent."""
