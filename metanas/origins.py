"""Where trials come from, as a study keeps it: what a search writes, and ``metanas why`` reads."""

RECIPE = "recipe"  # of a trial's attributes: the name of the recipe that it is, where --start asked for it
FOLLOWS = "follows"  # of a trial's attributes: the seed of the trial over several families that it is part of
ENQUEUED = "enqueued"  # how a trial came about that a person or a program put into Optuna's queue
NEIGHBOUR = "neighbour"  # of a trial's attributes: the number of the trial that it is one of, or -1
PROPOSED = "proposed"  # in a study's log: why, in JSON, as the controller tells it
