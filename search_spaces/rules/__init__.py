"""One file a kind of rule, each with ``choices(signature)`` and ``build(choices, network, signature)``."""
