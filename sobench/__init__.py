"""sobench: compare small-object detectors under uniform conditions."""

__version__ = "0.1.0"
