"""Where bytes live: tables, blobs."""
