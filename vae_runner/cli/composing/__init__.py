"""From settings to a config: the options and the user's files, presets, schedules, and their composition."""
