"""Rules that plugins keep, as test classes to be subclassed."""
