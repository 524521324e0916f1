"""What a strategy is given, and where its requests go."""
