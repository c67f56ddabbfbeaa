"""Datasets: their base class, where their files lie, and the frozen evaluation arrays."""
