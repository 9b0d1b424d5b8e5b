"""Neural networks behind one-method classes; torch is imported when one is built."""
