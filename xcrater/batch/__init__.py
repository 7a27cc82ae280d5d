"""Runs that lose nothing: what groups of tiles have found is kept in a directory, and taken up again."""
