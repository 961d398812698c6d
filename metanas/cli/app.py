"""The ``metanas`` command: finds its subcommands by name, and says errors in one line."""

from __future__ import annotations

import importlib
import os
import sys
import time
import traceback
from contextlib import suppress

import click

from metanas import __version__
from search_spaces.errors import MetanasError

# name → (module with ``command``, what it does); a module is loaded when its command runs, so that
# `metanas --help` answers at once
_COMMANDS = {
    "search": ("metanas.cli.search", "Search architecture and learning rule for a family of tasks."),
    "leaderboard": ("metanas.cli.leaderboard", "The best trials of a study."),
    "show": ("metanas.cli.show", "One trial, or the verdict of a study, in words."),
    "why": ("metanas.cli.why", "Why a trial was proposed."),
    "verdict": ("metanas.cli.verdict", "Whether the search was worth it."),
    "report": ("metanas.cli.report", "A study as one page of HTML."),
    "debug": ("metanas.cli.debug", "What is the matter with a meta-gradient."),
    "export": ("metanas.cli.export", "Write a trial as a learner file."),
    "adapt": ("metanas.cli.adapt", "Learn a new task from a few examples, with a learner file."),
    "dashboard": ("metanas.cli.dashboard", "Open Optuna's dashboard on the store."),
    "doctor": ("metanas.cli.doctor", "Check the installation and say what is missing."),
    "study": ("metanas.cli.study", "Studies of a store."),
    "family": ("metanas.cli.family", "Task families."),
    "architecture": ("metanas.cli.parts", "Architectures."),
    "rule": ("metanas.cli.rule", "Learning rules."),
    "controller": ("metanas.cli.controller", "Controllers, and what they learned."),
    "space": ("metanas.cli.space", "Search spaces."),
}


class _Lazy(click.Group):
    def list_commands(self, context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module = importlib.import_module(_COMMANDS[name][0])
        found: click.Command = getattr(module, "COMMANDS", {}).get(name) or module.command
        return found

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, what) for name, (_, what) in _COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="metanas %(version)s")
@click.option("--debug", is_flag=True, help="Show a traceback when something fails.")
def metanas(debug: bool) -> None:
    """Search for systems that learn new tasks from few examples.

    metanas searches, for a family of small related tasks, over the network and the rule that
    trains it, and hands back a learner: one file that learns a new task from a handful of examples.

    \b
      metanas search sinusoid --budget 2m        search, and write sinusoid.metanas
      metanas search images FOLDER --ways 5      the same on your own images
      metanas leaderboard sinusoid               what was tried
      metanas adapt sinusoid.metanas --support s.csv --query q.csv
    """  # noqa: D301  # \b is the mark for lines that click must not wrap


def main() -> None:
    """Runs the command line; exits 0, 1 for our failure, 2 for a user's mistake, 130 on Ctrl-C."""
    debug = "--debug" in sys.argv[1:]
    # before torch loads its thread pool: threads that spin while they wait make a meta-step 10 to 30
    # times slower as soon as anything else runs on the machine, and gain next to nothing when it is idle
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        code = metanas.main(prog_name="metanas", standalone_mode=False, obj=time.monotonic())
        sys.stdout.flush()  # here, where it is seen if nobody reads any more
        sys.exit(code if isinstance(code, int) else 0)
    except (click.exceptions.Abort, KeyboardInterrupt):
        sys.exit(130)
    except click.ClickException as error:
        if _asked_for_nothing(error):
            sys.exit(0)
        _fail(_usage(error), 2, debug)
    except MetanasError as error:
        _fail(str(error), error.exit_code, debug)
    except BrokenPipeError:
        with suppress(OSError):  # whoever read our output has gone, and Python writes the rest at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        text = (str(error).splitlines() or [""])[0]
        _fail(
            f"our failure, please report it: {type(error).__name__}: {text} (metanas --debug shows where)",
            1,
            debug,
        )


def _usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    hint = f" (see {context.command_path} --help)" if context else ""
    return " ".join(error.format_message().split()) + hint


def _asked_for_nothing(error: click.ClickException) -> bool:
    """Shows the help of a group called without a command, which newer clicks hold to be an error."""
    if type(error).__name__ != "NoArgsIsHelpError":
        return False
    click.echo(error.format_message())
    return True


def _fail(message: str, code: int, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    click.echo(f"metanas: {' '.join(message.split())}", err=True)
    sys.exit(code)
