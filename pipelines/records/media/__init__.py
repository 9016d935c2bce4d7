"""Images, sounds and videos: what a row names becomes what a pipeline takes, and what results hold becomes files."""
