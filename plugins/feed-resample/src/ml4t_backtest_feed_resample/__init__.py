"""Bars made of the bars, quotes or trades of another feed."""
