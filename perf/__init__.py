"""Programs that measure the program itself."""
