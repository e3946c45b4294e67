"""Drawn scenes: many tiny vehicles, people and tents from above. They need no download."""

from sobench.data.synthetic.scenes import fingerprint, read

__all__ = ["fingerprint", "read"]
