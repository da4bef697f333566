"""Programs that measure tvmerge."""
