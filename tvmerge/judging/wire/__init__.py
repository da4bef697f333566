"""Code shared by HTTP providers: errors, waits, parameters that models reject."""
