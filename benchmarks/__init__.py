"""Measurements at full scale: data as large as the real sources', and who reads it in how much time."""
