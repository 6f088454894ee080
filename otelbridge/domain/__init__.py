"""Records, interceptions, usage and access: the rules, with the standard library alone."""
