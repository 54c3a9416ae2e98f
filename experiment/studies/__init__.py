"""Many runs: the definition of a study, its workers, its tables and pictures."""
