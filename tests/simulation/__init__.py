"""A cluster that trains nothing: the real choice of runs under a clock that only counts."""
