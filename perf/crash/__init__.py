"""Breaks runs from outside, and checks that nothing is lost, paid twice or left behind."""
