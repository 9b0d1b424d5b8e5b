"""What things are. Pure: no Dagster, network, disk, clock or unseeded randomness."""
