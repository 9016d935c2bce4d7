"""The scripts that made the checkpoints this package ships; nothing here runs when a task does."""
