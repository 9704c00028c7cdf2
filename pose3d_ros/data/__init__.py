"""Datasets and labels: readers only, the data stays with its owner."""
