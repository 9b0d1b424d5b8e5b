"""The graph: one module for each stage, thin over the layers below."""
