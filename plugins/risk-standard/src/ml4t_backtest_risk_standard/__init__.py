"""Standard risk managers."""
