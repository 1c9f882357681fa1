"""Where pixels are kept: prepared once on the disk, in memory, or decoded on demand, behind one question for rows."""
