"""Check the rows of every source."""
