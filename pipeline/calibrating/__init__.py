"""Calibration as the program runs it: cameras from their boards, color from its chart."""
