"""Plots and representations for people."""
