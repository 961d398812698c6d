"""One file a task family, each with ``build(source) -> Family``."""
