"""Write the run directory."""
