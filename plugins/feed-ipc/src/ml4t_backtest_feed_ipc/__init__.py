"""Read bars, quotes and trades from Arrow IPC files."""
