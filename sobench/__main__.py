"""``python -m sobench``."""

from sobench.cli import main

main()
