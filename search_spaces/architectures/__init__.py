"""One file a family of networks, each with ``choices(signature)`` and ``build(choices, signature)``."""
