"""Logs that grow while they are looked at: `growing_log` reads each line once, `record_table` keeps what it says."""
