"""Train variational auto-encoders from YAML configs, and look at what they learned."""

__version__ = "0.1.0"
