"""Many runs: what a study is, who runs it, what it shows."""
