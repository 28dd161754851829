"""The wall: pages, panels pushed by server-sent events, and what they are drawn with."""
