"""Sets of known factors, read as their authors published them, checked, and unpacked once into the prepared store."""
