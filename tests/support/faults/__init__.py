"""A proxy that makes faults before a real API server, random scenarios, and the oracle of what must come of them."""
