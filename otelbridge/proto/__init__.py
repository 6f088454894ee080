"""Generated from proto/aibridged.proto by `make proto`; never edited."""
