"""What leaves: one module for each format that people train from.

A format is a function of the members of a release that writes files to a target, and yields what it wrote.
"""
