"""Rows to Arrow types and back, for every format and data set that holds Arrow."""
