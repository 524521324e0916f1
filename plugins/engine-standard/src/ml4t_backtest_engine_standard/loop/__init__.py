"""The instants of a run, and what drives them."""
