"""The device that a run computes on, and its precision."""
