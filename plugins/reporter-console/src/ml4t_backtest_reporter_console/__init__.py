"""A run's progress and summary in the terminal."""
