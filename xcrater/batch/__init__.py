"""Resumable runs: results of groups of tiles are kept in a directory, and an interrupted run continues from them."""
