"""Who proposes: one file a controller, each with ``build(space, seed) -> optuna.samplers.BaseSampler``."""
