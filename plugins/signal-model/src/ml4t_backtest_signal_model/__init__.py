"""Signals from a function or a fitted estimator that is asked during the run."""
