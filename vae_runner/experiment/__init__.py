"""From a composed config to a finished run: check, assemble, train, record."""
