"""Programs that measure tvmerge under load."""
