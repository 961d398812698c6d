"""What a search over several families leaves: learners, pictures, its result, what a person is told."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from metanas.budget import Budget
from metanas.cli.files import output_path
from metanas.cli.joint_tables import joint_leaderboard, print_families, say
from metanas.cli.live import places_json
from metanas.cli.options import store_words
from metanas.cli.result import learner_json, result_json
from metanas.cli.summary import wide_console
from metanas.joint import JointSearch, standings_of
from metanas.saving import save_learner, save_picture
from metanas.standings import Standing
from metanas.tally import counts
from metanas.together import OnFamily
from metanas.words import data_in_words, in_words
from search_spaces.errors import MetanasError
from search_spaces.named import consent
from storage import Store


def outputs(study: str, family: str) -> dict[str, Path]:
    """What is written for a family: the learner of the candidate for all, its own best one, the picture."""
    name = f"{study}-{family}"
    return {
        "for_all": output_path(name, ".metanas"),
        "own": output_path(f"{name}-best", ".metanas"),
        "picture": output_path(name, ".png"),
    }


def save(
    search: JointSearch, store: Store, best: Standing, found: Sequence[OnFamily], budget: Budget
) -> dict[str, Any]:
    """Writes learners, pictures and results.

    Returns:
        The result: what a search of one family has where it is of all (``study``, ``trials``, ``seconds``,
        ``best`` with its mean ``rank``, its ``worst`` family and its place on each), and ``families``: of
        each its own ``study``, ``looks``, ``folds``, ``picture``, and the learners ``for_all`` and ``own``,
        with candidate, scores, ``baselines``, ``verdict`` and where it is ``saved``.
    """
    search.tell("writing the learners and the pictures")
    failed: list[Exception] = []
    families = [_save_family(search.name, store, one, budget, failed) for one in found]
    candidate = best.trial.candidate
    result = {
        "study": search.name,
        "trials": counts(search.records),
        "seconds": budget.spent,
        "best": {
            "trial": best.trial.number,
            "candidate": dict(candidate),
            **in_words(candidate),
            **places_json(best),
        },
        "families": families,
        "saved": {"store": store.shown},
    }
    store.save_result(search.name, result)
    if failed:  # the verdicts are known, whatever becomes of the files
        raise failed[0]
    return result


def _save_family(
    study: str, store: Store, found: OnFamily, budget: Budget, failed: list[Exception]
) -> dict[str, Any]:
    """Writes what is of one family; why something could not be goes to ``failed``, the verdict is kept."""
    paths, search = outputs(study, found.name), found.search
    # one learner may have two verdicts: over folds these are also on the searches of the others
    shared = learner_json(found.for_all.winner, found.for_all.judgement)
    own = learner_json(found.own.winner, found.own.judgement)
    learners = {"for_all": str(paths["for_all"]), "own": str(paths["own"])}
    saved = {"learner": learners["own"], "picture": str(paths["picture"]), "store": store.shown}
    result = result_json(search, found.own.winner, found.own.judgement, saved)
    try:
        save_learner(paths["for_all"], search, found.for_all.winner, shared)
        # where it is the same one, too: a file of an earlier run would look like this one's
        save_learner(paths["own"], search, found.own.winner, own)
        save_picture(paths["picture"], search, found.own.winner, found.own.judgement)
    except (MetanasError, OSError) as error:
        failed.append(error)
    finally:  # the verdict is known, whatever becomes of the files
        result["seconds"] = budget.spent
        store.save_result(search.name, result)
    rest = {key: result[key] for key in ("looks", "folds")}
    learned = {key: {"saved": learners[key], **values} for key, values in (("for_all", shared), ("own", own))}
    return {"family": found.name, "study": search.name, **learned, "picture": saved["picture"], **rest}


def print_joint(search: JointSearch, result: Mapping[str, Any]) -> None:
    """Everything a person wants to know at the end."""
    console = wide_console()
    console.print(joint_leaderboard(standings_of(search)))
    console.print()
    print_families(result)
    _print_next(console, search, result)


def _print_next(console: Console, search: JointSearch, result: Mapping[str, Any]) -> None:
    where = result["saved"]["store"]
    there = store_words(where)
    first = result["families"][0]
    learner = first["for_all"]
    data = data_in_words(search.evaluator.families[first["family"]].evaluator.family.preprocessing)
    adapt = f"metanas adapt {shlex.quote(learner['saved'])} {data}{consent(learner['candidate'])[0]}"
    console.print()
    say(console, f"Saved the learners, a picture a family (…png), {where} (every result).")
    say(console, "Next:")
    for line in (
        *([adapt] if data else []),
        f"metanas leaderboard {shlex.quote(search.name)}{there}",
        f"metanas report {shlex.quote(first['study'])}{there}",
        f"metanas dashboard{there}",
    ):
        console.print(f"  {line}", highlight=False, soft_wrap=True)
