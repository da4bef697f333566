"""What providers over HTTP have in common: errors in their words, waits, parameters that models refuse."""
