"""Inputs and outputs in the forms that people have them, a format a file."""
