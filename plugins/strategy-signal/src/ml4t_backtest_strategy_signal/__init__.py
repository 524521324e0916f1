"""Trade on signals with declared rules."""
