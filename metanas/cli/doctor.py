"""``metanas doctor``: what is installed, what is missing, what stands in the way."""

from __future__ import annotations

import importlib
import os
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import click

from metanas.cli.options import HELP, json_option, print_json, store_option
from search_spaces import plugins
from search_spaces.errors import MetanasError, NoStoreError

_NEEDED = (
    "torch",
    "optuna",
    "numpy",
    "sqlalchemy",
    "alembic",
    "click",
    "rich",
    "safetensors",
    "pillow",
    "scikit-learn",
    "scipy",
    "matplotlib",
    "pandas",
    "jinja2",
    "sympy",
    "joblib",
    "threadpoolctl",
)
_OPTIONAL = {
    "nni": "NNI's spaces and controllers",
    "optuna-dashboard": "metanas dashboard",
    "psycopg": "PostgreSQL stores",
    "pyarrow": "Parquet and Arrow tables",
    "tabpfn": "TabPFN among the baselines of tables",
    "pytorch-lightning": "NNI's hub of model spaces",
}
_KINDS = (
    ("metanas.tasks.families", "metanas.families"),
    ("search_spaces.architectures", "metanas.architectures"),
    ("search_spaces.rules", "metanas.rules"),
    ("controllers", "metanas.controllers"),
)
_OWN = ("metanas", "search_spaces", "controllers", "storage")


@dataclass(frozen=True)
class Finding:
    """One line of the report; ``fine=None`` is for what may be missing."""

    what: str
    found: str
    fine: bool | None = True


@click.command(context_settings=HELP)
@store_option
@json_option
def command(store: str, as_json: bool) -> None:
    """Check the installation; exits 1 if something that is needed is missing."""
    findings = [_python(), *_packages(), *_shadowing(), *_plugins(), _device(), _store(store), _data()]
    if as_json:
        print_json([vars(finding) for finding in findings])
    else:
        for finding in findings:
            mark = {True: "ok     ", False: "PROBLEM", None: "-      "}[finding.fine]
            click.echo(f"{mark}  {finding.what}: {finding.found}")
    if any(finding.fine is False for finding in findings):
        sys.exit(1)


def _python() -> Finding:
    here = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Finding("Python", here, sys.version_info >= (3, 11))


def _packages() -> list[Finding]:
    needed = [
        Finding(name, _version(name) or "missing: run make setup", _version(name) is not None)
        for name in _NEEDED
    ]
    extra = [
        Finding(name, _version(name) or f"not installed (for {use})", True if _version(name) else None)
        for name, use in _OPTIONAL.items()
    ]
    return needed + extra


def _shadowing() -> list[Finding]:
    """Our top-level packages have common names: another of the same name may come first."""
    home = Path(importlib.import_module("metanas").__file__ or "").parent.parent
    found = []
    for name in _OWN:
        spec = find_spec(name)
        where = Path(spec.origin).parent.parent if spec and spec.origin else None
        fine = where == home
        hint = "" if fine else f": another {name} comes before ours on the path; rename it, or run elsewhere"
        found.append(Finding(f"package {name}", f"{where}{hint}", fine))
    return found


def _plugins() -> list[Finding]:
    try:
        wrong = [plugins.broken(*kind).items() for kind in _KINDS]
    except Exception as error:  # of our own files, where torch cannot be loaded
        return [Finding("plug-ins", f"cannot be looked at: {_first_line(error)}", None)]
    hint = "install its package again, or pip uninstall it"
    return [Finding(f"plug-in {name}", f"{why}; {hint}", False) for found in wrong for name, why in found]


def _device() -> Finding:
    try:
        import torch
    except Exception as error:  # what is broken is told, and the rest, too
        return Finding("device", f"torch cannot be loaded: {_first_line(error)}", False)
    if not torch.cuda.is_available():
        return Finding("device", f"cpu, {torch.get_num_threads()} threads (no CUDA device)")
    return Finding(
        "device", ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
    )


def _store(url: str) -> Finding:
    try:
        from storage import Store, database

        with Store.open(url, create=False) as store:
            if database.has_studies(database.parse(url)):
                _ = store.optuna  # whose version a search would refuse
            return Finding("store", f"{store.shown}, {len(store.studies())} studies")
    except NoStoreError as error:
        return Finding("store", str(error), None)
    except MetanasError as error:
        return Finding("store", str(error), False)
    except Exception as error:  # a package that is missing, or another storage than ours
        return Finding("store", f"cannot be opened: {_first_line(error)}", False)


def _data() -> Finding:
    folder = os.environ.get("METANAS_DATA")
    if folder is None:
        return Finding("METANAS_DATA", "not set (only opt-in tests and benchmarks need it)", None)
    return Finding("METANAS_DATA", folder, Path(folder).is_dir())


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
