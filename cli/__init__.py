"""The terminal side of pipesmith: commands, flags and output."""
