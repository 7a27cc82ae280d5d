"""``python -m xcrater``."""

from xcrater.cli import main

main()
