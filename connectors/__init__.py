"""Where records come from: one file per protocol, one per wire format in formats/, and the pump."""
