"""The command line: argv in, one line of error or a result out."""
