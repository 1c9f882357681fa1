"""Whether a run can be made: its composed config judged before anything is built, its parts before the first step."""
