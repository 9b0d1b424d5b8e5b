"""Illustration datasets as Dagster assets: ingested, rebuilt by year, explained row by row, verified."""
