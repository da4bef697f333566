"""The command line: parses arguments, runs a command, prints its result or one line of error."""
