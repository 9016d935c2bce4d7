"""Pipelines made ready for others: the files that a published class needs (`closure.py`)."""
